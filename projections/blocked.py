"""The streams that a projection could not take over to their end, with the reason."""

from typing import Final

from ledger.domain.words import CONNECTION, connection_of, short_id
from projections.answers import Blocked
from projections.batch import Trouble
from projections.store import Session

BLOCK: Final = """INSERT INTO blocked{g} (projection, stream, position, reason)
    VALUES (:projection, :stream, :position, :reason)
    ON CONFLICT (projection, stream) DO UPDATE SET position = excluded.position,
    reason = excluded.reason"""
RELEASE: Final = "DELETE FROM blocked{g} WHERE projection = :projection AND stream = :stream"

Blocks = dict[tuple[str, str], Trouble]
"""What is blocked, by projection and stream."""


def read_blocks(session: Session) -> Blocks:
    """Give everything that is blocked."""
    rows = session.rows("SELECT * FROM blocked{g} ORDER BY projection, position")
    return {(r["projection"], r["stream"]): Trouble(r["position"], r["reason"]) for r in rows}


def block(session: Session, projection: str, stream: str, trouble: Trouble) -> None:
    """Write down why a stream is blocked, and from which position on."""
    params = {"projection": projection, "stream": stream}
    session.run(BLOCK, {**params, "position": trouble.position, "reason": trouble.reason})


def release(session: Session, projection: str, stream: str) -> None:
    """Forget that a stream was blocked."""
    session.run(RELEASE, {"projection": projection, "stream": stream})


def list_blocked(session: Session, key: bytes) -> tuple[Blocked, ...]:
    """List what is blocked; `key` is the log's, for the printable names."""
    return tuple(
        Blocked(projection, stream, printable(stream, key), trouble.position, trouble.reason)
        for (projection, stream), trouble in read_blocks(session).items()
    )


def printable(stream: str, key: bytes) -> str:
    """Give the form of a stream's name that logs may show."""
    return short_id(connection_of(stream), key) if stream.startswith(CONNECTION) else stream
