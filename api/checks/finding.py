"""What a check finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is; only `FAILED` ends `doctor` with exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`."""

    check: str
    level: Level
    found: str
    advice: str = ""
    """What to do; empty when all is well."""


def well(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """It works, and should be known."""
    return Finding(check, Level.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """It does not work, or loses something."""
    return Finding(check, Level.FAILED, found, advice)
