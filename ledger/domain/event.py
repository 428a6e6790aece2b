"""What every event is; `ledger.domain.events` lists all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One immutable fact."""

    NAME: ClassVar[str]
    """Its stored type."""
    VERSION: ClassVar[int] = 1
    """The version of its form that this code writes."""
    UPCASTS: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
    """By version: how the stored form of that version becomes the next one."""
