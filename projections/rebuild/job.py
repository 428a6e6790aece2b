"""What a rebuilding process is told, and what it tells: one line of JSON each."""

from typing import Any

from msgspec import Struct


class Share(Struct, frozen=True):
    """A part of the log: some of its streams, up to a position."""

    names: tuple[tuple[str, str], ...]
    """Each pair: the first name of some streams, and the first after it that is not meant."""
    up_to: int


class Job(Struct, frozen=True):
    """What to build; goes to the process's standard input, because the address holds a password."""

    database_url: str
    names: tuple[str, ...]
    """The projections to rebuild; the others are taken over from the live generation."""
    generation: int
    """The number of the draft."""
    verify: bool
    share: Share | None = None
    """For the helper: which streams it tells the process that builds about."""


class Progress(Struct, frozen=True, tag="progress"):
    """How far it has come."""

    phase: str
    """`reading`, `indexing`, `comparing` or `catching up`."""
    done: int
    """Events of the log that are in the draft."""
    total: int
    """Events that there are to read."""


class Difference(Struct, frozen=True):
    """A row that the live view and the rebuilt one do not have in common."""

    projection: str
    table: str
    key: dict[str, Any]
    what: str
    """`missing` in the rebuilt view, `extra` there, or `differs`."""
    columns: tuple[str, ...] = ()
    """Which columns differ."""


class Built(Struct, frozen=True, tag="built"):
    """The draft is complete and has come as far as the log, or nearly."""

    position: int
    """The last position read by all of its projections."""
    differences: tuple[Difference, ...]
    """The first ones found, when they were looked for."""


class Failed(Struct, frozen=True, tag="failed"):
    """The draft is worth nothing."""

    reason: str


Message = Progress | Built | Failed
