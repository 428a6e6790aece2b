"""What must be so at the end of a history, by the provider's truth and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from api.emulator.world import Connection, Fact
from api.times import format_millis
from projections.answers import ConnectionView, HistoryEntry
from projections.links.forks import FLAG
from tests.simulation.provider import name_of
from tests.simulation.story import Story


def differences(story: Story, known: dict[str, ConnectionView]) -> Iterator[str]:
    """Say what the views tell otherwise than it is."""
    truth = story.provider.existing()
    for id, one in truth.items():
        if id not in known:
            yield f"{id} is not known"
            continue
        told, real = _told(known[id]), _real(one)
        for name in told:
            if told[name] != real[name]:
                yield f"{id}: {name} is {told[name]!r} and should be {real[name]!r}"
    for id in known.keys() - truth.keys():
        if known[id].status != "deleted" and known[id].missing_since is None:
            yield f"{id} is gone, and called {known[id].status}"


def is_settled(story: Story) -> bool:
    """Tell whether there is nothing left for a pass to find out."""
    known = story.subject.connections()
    gone = known.keys() - story.provider.existing().keys()
    proved = all(known[id].status == "deleted" for id in gone)
    return proved and not any(differences(story, known))


def _told(view: ConnectionView) -> dict[str, Any]:
    return {
        "status": view.status,
        "reference": view.client_reference_id,
        "permissions": list(view.permissions or ()),
        "userData": _without_nothing(view.user_data or {}),
        "missing": view.missing_since is not None,
    }


def _real(one: Connection) -> dict[str, Any]:
    return {
        "status": one.status,
        "reference": one.client_reference_id,
        "permissions": list(one.permissions),
        "userData": _without_nothing(one.user_data),
        "missing": False,
    }


def _without_nothing(user_data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in user_data.items() if value is not None}


# each transition once


def untold(story: Story, known: dict[str, ConnectionView]) -> Iterator[str]:
    """Say which transitions are not once in the history."""
    by_connection: dict[str, list[Fact]] = {}
    for fact in story.provider.facts():
        by_connection.setdefault(fact.connection.id, []).append(fact)
    for id, facts in by_connection.items():
        if id not in known:
            continue
        history = story.subject.history(id)
        yield from _not_once(story, id, facts, history)
        if story.plan.timed and not _is_unclear(story, facts):
            due = [list(_due(story, some, known[id])) for some in _up_to_its_end(facts)]
            told = list(_turns(history))
            if told not in due:
                yield f"{id}: {told} should be {due[-1]}"


def _not_once(
    story: Story, id: str, facts: Iterable[Fact], history: list[HistoryEntry]
) -> Iterator[str]:
    """Say which deliveries do not stand behind one claim, which may have two names."""
    for fact in facts:
        attempt = story.provider.attempts.get(name_of(fact))
        for stream in () if attempt is None else attempt.streams:
            behind = [
                (entry.type, entry.occurred_at)
                for entry in history
                if any(one.delivery_id == stream for one in entry.evidence)
            ]
            if len({at for _, at in behind}) != 1 or len(set(behind)) != len(behind):
                yield f"{id}: {fact.type} is in the history as {behind}"


def _due(story: Story, facts: Iterable[Fact], view: ConnectionView) -> Iterator[str]:
    """Give the statuses that the ledger was told or shown, each until another follows."""
    heard = [fact.connection.status for fact in facts if _reached(story, fact)]
    yield from (status for status, _ in groupby(heard))
    if view.status == "deleted":
        yield "deleted"


def _up_to_its_end(facts: list[Fact]) -> Iterator[list[Fact]]:
    """Give the facts, also without what may seem to lie after a deletion.

    The answer to a delete call is dated in whole seconds: in that second nobody knows.
    """
    ends = [fact.at for fact in facts if fact.type == "connection.disconnected"]
    for number, fact in enumerate(facts):
        if ends and fact.at > ends[0] - 1_000:
            yield facts[:number]
    yield facts


def _is_unclear(story: Story, facts: list[Fact]) -> bool:
    """Tell whether something happened in the second in which a session was ended by a call.

    Its answer is dated in whole seconds, so nobody can tell which came first.
    """
    return any(
        fact.connection.id == id and fact.type != "connection.expired" and 0 <= at - fact.at < 1_000
        for id, at in story.provider.commanded
        for fact in facts
    )


def _reached(story: Story, fact: Fact) -> bool:
    if fact.type == "connection.disconnected":
        return False
    attempt = story.provider.attempts.get(name_of(fact))
    changed = format_millis(fact.connection.updated_at)
    shown = (fact.connection.id, changed) in story.provider.shown
    return shown or (attempt is not None and bool(attempt.streams))


def _turns(history: list[HistoryEntry]) -> Iterator[str]:
    """Give the statuses that the history goes through."""
    changes = (entry.data.get("changes", {}).get("status") for entry in history)
    # a claim that has two names stands there twice
    yield from (status for status, _ in groupby(turn["to"] for turn in changes if turn is not None))


# forks


def forks(story: Story, known: dict[str, ConnectionView]) -> dict[str, int]:
    """Count what is said of forks, and of those that are none."""
    truth = story.provider.existing()
    found = dict.fromkeys(("reported", "unreported", "suspected", "others", "others_suspected"), 0)
    found |= {"reported_not_forked": 0, "others_forked": 0}
    made = {fork.made for fork in story.tally.forks}
    for fork in story.tally.forks:
        if fork.made not in truth:
            continue
        view = known[fork.made]
        if fork.reported:
            found["reported"] += 1
            found["reported_not_forked"] += view.predecessor_id != fork.meant
        elif fork.meant not in truth or truth[fork.meant].status != "active":
            found["unreported"] += 1
            found["suspected"] += FLAG in view.flags
    for id in truth.keys() - made:
        found["others"] += 1
        found["others_suspected"] += FLAG in known[id].flags
        found["others_forked"] += known[id].predecessor_id is not None
    return found
