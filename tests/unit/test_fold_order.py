"""The order of arrival decides nothing: every order gives the view of an independent model."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

import pytest

from ledger.domain.claim import Statement, settle
from ledger.domain.connection import Connection, _Walk, fold, names_of
from tests.histories import CONNECTION, history
from tests.model import model

HISTORIES = 2_000
CHUNK = 100
RANDOM_ORDERS = 200
NOTED = (
    *("missingSince", "lastListedAt", "notFoundAt", "expirySuspectedAt", "deletionRequestedAt"),
    *("invalidationRequestedAt", "predecessorId", "successorId"),
)
View = dict[str, Any]
Fold = Callable[[Sequence[Statement]], View]


def canonical(connection: Connection) -> View:
    """Give a folded connection in the form of the model's answer."""
    return {
        "status": connection.status,
        "statusSince": connection.status_since,
        "client": connection.client,
        "fields": connection.fields,
        "userData": connection.user_data or {},
        "createdAt": connection.created_at,
        "deletedAt": connection.deleted_at,
        "flags": list(connection.flags),
        "missingSince": connection.missing_since,
        "lastListedAt": connection.last_listed_at,
        "notFoundAt": connection.not_found_at,
        "deletionRequestedAt": connection.deletion_requested_at,
        "invalidationRequestedAt": connection.invalidation_requested_at,
        "expirySuspectedAt": connection.expiry_suspected_at,
        "predecessorId": connection.predecessor_id,
        "successorId": connection.successor_id,
        "history": [
            {
                "claim": step.claim.id,
                "names": list(step.names),
                "status": step.status,
                "client": step.client,
                "cause": step.cause,
            }
            for step in connection.steps
        ],
    }


def folded(statements: Sequence[Statement]) -> View:
    """Fold as the ledger does."""
    connection = fold(CONNECTION, statements)
    assert connection is not None
    return canonical(connection)


def orders(statements: Sequence[Statement], seed: int) -> Iterator[Sequence[Statement]]:
    """Give every order of up to 5 statements, and 200 random orders of more."""
    if len(statements) <= 5:
        yield from permutations(statements)
        return
    random = Random(seed)
    for _ in range(RANDOM_ORDERS):
        yield random.sample(statements, len(statements))


def current(view: View) -> View:
    """Leave the history out: only what is said to be true now."""
    return {name: value for name, value in view.items() if name != "history"}


@pytest.mark.parametrize("start", range(0, HISTORIES, CHUNK))
def test_every_order_of_arrival_gives_the_view_of_the_model(start: int) -> None:
    """The view is a function of the set of claims, and it is the one that semantics.md means."""
    for seed in range(start, start + CHUNK):
        statements = history(seed)
        expected = model(statements)
        for order in orders(statements, seed):
            assert folded(order) == expected, f"history {seed}"


def test_what_the_ledger_keeps_is_enough_in_every_order() -> None:
    """A statement that makes no event may be left out: the rest still gives the whole view."""
    for seed in range(300):
        statements = history(seed)
        expected = model(statements)
        for order in list(orders(statements, seed))[::20]:
            kept: list[Statement] = []
            for statement in order:
                if names_of(kept, statement):
                    kept.append(statement)
            assert folded(kept) == expected, f"history {seed}"


def test_a_new_statement_makes_at_most_three_events_in_any_order() -> None:
    """Naming never fails: a row can reassign a missing connection and change its status."""
    for seed in range(300):
        statements = history(seed)
        order = Random(seed).sample(statements, len(statements))
        for i, statement in enumerate(order):
            assert 0 <= len(names_of(order[:i], statement)) <= 3


def test_the_histories_reach_every_name_status_and_flag() -> None:
    """The generated histories are worth checking: no rule is met by chance only."""
    seen: Counter[str | None] = Counter()
    for seed in range(HISTORIES):
        view = model(history(seed))
        seen.update({name for step in view["history"] for name in step["names"]})
        seen.update({view["status"], *view["flags"]})
        seen.update(name for name in NOTED if view[name] is not None)
        seen.update({"cause"} if any(step["cause"] for step in view["history"]) else ())
        seen.update(f"{len(step['names'])} names" for step in view["history"])
    expected = {
        *(None, "active", "awaiting_2fa", "expired", "deleted"),
        *("inferred", "ambiguous", "after_deletion", "still_billed", "test", "unknown_status"),
        *NOTED,
        *("cause", "1 names", "2 names", "3 names"),
        *(
            f"connection.{name}"
            for name in (
                *("created", "discovered", "awaiting_2fa", "activated", "expired"),
                *("reconnected", "updated", "confirmed", "reassigned", "deleted", "reappeared"),
                *("missing", "deletion_requested", "invalidation_requested", "forked"),
                "expiry_suspected",
            )
        ),
    }
    assert {name for name in expected if seen[name] < 20} == set()
    assert set(seen) == expected


def arrival_wins(statements: Sequence[Statement]) -> View:
    """A wrong fold: it takes the claims as they came."""
    walk = _Walk()
    for claim, evidence in settle(statements).values():
        walk.take(claim, evidence)
    return canonical(walk.result(CONNECTION))


def unchanged_dropped(statements: Sequence[Statement]) -> View:
    """A wrong fold: it keeps only the claims that changed something when they came."""
    kept: list[Statement] = []
    for statement in statements:
        if names_of(kept, statement) not in ((), ("connection.confirmed",)):
            kept.append(statement)
    return folded(kept)


def differences_kept(statements: Sequence[Statement]) -> View:
    """A wrong fold: of each claim it keeps what differed from the facts known when it came."""
    kept: list[Statement] = []
    for statement in statements:
        claim, before = statement.claim, fold(CONNECTION, kept)
        if before is not None:
            known = before.user_data or {}
            user_data = claim.personal.get("userData", {})
            claim = replace(
                claim,
                status=None if claim.status is before.status else claim.status,
                fields=_news(claim.fields, before.fields),
                personal={"userData": _news(user_data, known)},
            )
        kept.append(Statement(claim, statement.evidence))
    return folded(kept)


def _news(stated: Any, known: Any) -> View:
    return {name: value for name, value in stated.items() if known.get(name, ...) != value}


def is_caught(wrong: Fold, seed: int) -> bool:
    """Whether some order of a history makes the wrong fold say something untrue of now."""
    statements = history(seed)
    truth = current(model(statements))
    return any(current(wrong(order)) != truth for order in list(orders(statements, seed))[:20])


@pytest.mark.parametrize("wrong", [arrival_wins, unchanged_dropped, differences_kept])
def test_the_check_catches_a_wrong_fold(wrong: Fold) -> None:
    """Each classic mistake shows in what is true now, not only in the history."""
    assert sum(is_caught(wrong, seed) for seed in range(200)) >= 10
