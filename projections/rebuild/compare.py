"""Comparing two generations row by row, in the order of their keys and in little memory."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from projections.base import Projection, Table
from projections.rebuild.job import Difference
from projections.store import BLOCKED, Session

AT_ONCE: Final = 2_000
"""How many rows one query reads."""

Row = Mapping[str, Any]


def differences(
    live: Session, rebuilt: Session, projections: Iterable[Projection]
) -> Iterator[Difference]:
    """Give every row that the two do not have in common; both must be at the same positions."""
    for projection in projections:
        for table in projection.tables:
            yield from _compare(live, rebuilt, projection.name, table)
    yield from _compare(live, rebuilt, "", BLOCKED)


def _compare(
    live: Session, rebuilt: Session, projection: str, table: Table
) -> Iterator[Difference]:
    ours, theirs = _rows(live, table), _rows(rebuilt, table)
    old, new = next(ours, None), next(theirs, None)
    while old is not None or new is not None:
        if new is None or (old is not None and _key(table, old) < _key(table, new)):
            assert old is not None, "one of them is there"
            yield _difference(projection, table, old, "missing")
            old = next(ours, None)
        elif old is None or _key(table, new) < _key(table, old):
            yield _difference(projection, table, new, "extra")
            new = next(theirs, None)
        else:
            columns = tuple(name for name in old if old[name] != new[name])
            if columns:
                yield _difference(projection, table, old, "differs", columns)
            old, new = next(ours, None), next(theirs, None)


def _rows(session: Session, table: Table) -> Iterator[Row]:
    columns = ", ".join(table.key)
    beyond = f"({columns}) > ({', '.join(f':{name}' for name in table.key)})"
    last: Row | None = None
    while True:
        where, params = ("", {}) if last is None else (f"WHERE {beyond}", _named(table, last))
        found = session.rows(
            f"SELECT * FROM {table.name}{{g}} {where} ORDER BY {columns} LIMIT {AT_ONCE}", params
        )
        for row in found:
            last = dict(row)
            yield last
        if len(found) < AT_ONCE:
            return


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.key)


def _named(table: Table, row: Row) -> dict[str, Any]:
    return {name: row[name] for name in table.key}


def _difference(
    projection: str, table: Table, row: Row, what: str, columns: tuple[str, ...] = ()
) -> Difference:
    name = projection or row["projection"]
    return Difference(name, table.name, _named(table, row), what, columns)
