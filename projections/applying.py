"""Writing one batch: all projections at once when all goes well, else stream by stream."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from ledger.domain.errors import StoreUnavailable
from projections.base import Insert, Projection, Row, Statement, Write
from projections.batch import Told, Trouble, reason_for
from projections.blocked import Blocks, block, printable, release
from projections.store import Session

log = logging.getLogger(__name__)

Put = Callable[[Session, Projection, Statement, Sequence[Row]], None]
"""Writes the rows of one statement."""


class Refused(Exception):
    """The database refuses something that is in the batch: find out which stream it is of."""


class Overtaken(StoreUnavailable):
    """Another process has advanced these views in the meantime: read their positions again."""


@dataclass(slots=True)
class Intent:
    """What one projection makes of what is told about one stream."""

    projection: Projection
    stream: str
    writes: Sequence[Write]
    first_new: int
    """Position of the first event that is not in the view yet."""
    trouble: Trouble | None
    was_blocked: bool


def intend(projection: Projection, told: Iterable[Told], blocks: Blocks) -> list[Intent]:
    """Work out what a projection would write; a stream that it fails on is blocked instead."""
    return [
        _intend(projection, one, blocks.get((projection.name, one.stream)))
        for one in told
        if one.stream.startswith(projection.streams)
    ]


def _intend(projection: Projection, told: Told, blocked: Trouble | None) -> Intent:
    if blocked is not None:
        told = replace(told, since=blocked.position - 1, fresh=True)
    trouble = told.trouble
    if new := told.new:
        first_new = new[0].position
    else:
        first_new = trouble.position if trouble is not None else told.since + 1
    writes: Sequence[Write] = ()
    try:
        writes = list(projection.writes(told))
    except Exception as error:  # noqa: BLE001 - one stream must not stop the others
        trouble = Trouble(first_new, reason_for(error))
    return Intent(projection, told.stream, writes, first_new, trouble, blocked is not None)


def write_together(session: Session, intents: Sequence[Intent]) -> None:
    """Write everything of a batch, each statement once with all its rows.

    Raises Refused when some of it cannot be written; the transaction is then lost.
    """
    _write_all(session, intents, _put)


def write_apart(session: Session, intents: Sequence[Intent]) -> list[Intent]:
    """Write stream by stream; what the database refuses blocks its stream only.

    Returns the intents with the trouble that they met. An error that is no stream's fault is raised
    as it is.
    """
    return _write_each(session, intents, _put)


def write_new(session: Session, intents: Sequence[Intent]) -> None:
    """Write in bulk what a view that is made from nothing holds of some streams.

    What the database refuses blocks its stream only. An error that is no stream's fault is raised
    as it is.
    """
    session.run("SAVEPOINT portion")
    try:
        _write_all(session, intents, _load)
    except Refused:
        session.run("ROLLBACK TO SAVEPOINT portion")
        _write_each(session, intents, _load)
    session.run("RELEASE SAVEPOINT portion")


def _write_all(session: Session, intents: Sequence[Intent], put: Put) -> None:
    rows: dict[tuple[str, Statement], list[Row]] = defaultdict(list)
    projections = {intent.projection.name: intent.projection for intent in intents}
    for intent in intents:
        for write in intent.writes:
            rows[intent.projection.name, write.statement].extend(write.rows)
    try:
        for name, projection in projections.items():
            for statement in projection.statements:
                if many := rows.get((name, statement)):
                    put(session, projection, statement, many)
    except Exception as error:
        if session.at_fault(error):
            raise
        raise Refused from error
    for intent in intents:
        _mark(session, intent, intent.trouble)


def _write_each(session: Session, intents: Sequence[Intent], put: Put) -> list[Intent]:
    done = []
    for intent in intents:
        trouble = intent.trouble
        session.run("SAVEPOINT stream")
        try:
            for statement in intent.projection.statements:
                writes = (write for write in intent.writes if write.statement == statement)
                if many := [row for write in writes for row in write.rows]:
                    put(session, intent.projection, statement, many)
        except Exception as error:
            if session.at_fault(error):
                raise
            # One stream must not stop the others.
            session.run("ROLLBACK TO SAVEPOINT stream")
            trouble = Trouble(intent.first_new, reason_for(error))
        session.run("RELEASE SAVEPOINT stream")
        _mark(session, intent, trouble)
        done.append(replace(intent, trouble=trouble))
    return done


def _put(
    session: Session, projection: Projection, statement: Statement, many: Sequence[Row]
) -> None:
    session.run_many(statement, projection.condense(statement, many))


def _load(
    session: Session, projection: Projection, statement: Statement, many: Sequence[Row]
) -> None:
    if statement in projection.plain:
        session.load(cast(Insert, statement), many)
    else:
        _put(session, projection, statement, many)


def report(intents: Iterable[Intent], key: bytes) -> None:
    """Log which streams became blocked and which go on; names only in their printable form."""
    for intent in intents:
        if (intent.trouble is not None) is intent.was_blocked:
            continue
        name, stream = intent.projection.name, printable(intent.stream, key)
        if intent.trouble is None:
            log.info("Projection %s: stream %s is no longer blocked", name, stream)
        else:
            reason = intent.trouble.reason
            log.error("Projection %s: stream %s is blocked: %s", name, stream, reason)


def _mark(session: Session, intent: Intent, trouble: Trouble | None) -> None:
    if trouble is not None:
        block(session, intent.projection.name, intent.stream, trouble)
    elif intent.was_blocked:
        release(session, intent.projection.name, intent.stream)
