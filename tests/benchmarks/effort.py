"""How thoroughly to measure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes and repetitions of one run of the benchmarks."""

    rounds: int
    """How often each thing is measured, in turn with its rivals."""
    deliveries: int
    """How many distinct signed deliveries are prepared for all rounds of a database."""
    seconds: float
    """How long each server is under load."""
    small: int
    """Events in the small log."""
    large: int
    """Events in the large log of the queries."""
    replayed: int
    """Events in the log that is rebuilt."""
    projected: int
    """Events that the library's own runner is given."""


WHOLE: Final = Effort(5, 250_000, 6.0, 10_000, 1_000_000, 2_000_000, 20_000)
QUICK: Final = Effort(1, 20_000, 3.0, 10_000, 50_000, 100_000, 2_000)
