"""Wherever the service is killed while it carries out a command, the command ends well.

The oracle is the provider: what calls really did there. No webhook tells of it. The steps are those
of `ledger.commands`; the service is killed before each of them and after it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from api.emulator.world import Action, Details
from ledger.commands import STEPS
from tests.acceptance.test_kill_links import World, world
from tests.rebuilding import until

PLACES = [*product(STEPS, ("before", "after"))]
DONE = {("called", "after"), ("settled", "before")}
"""Where the provider has done it, and the log does not say so."""

PASSES = 10
"""How many passes an open command gets in which to be carried out a second time."""


class Commanded:
    """A service and one connection, about which something is commanded."""

    def __init__(self, world: World, step: str, where: str, *, gone: bool = True) -> None:
        """Let the service be killed at a step; `gone` says how a refusal comes about."""
        self.world = world
        world.service.environment["COMMANDS_AT_ONCE"] = "yes"
        world.service.start(stop_at=f"ledger.commands:Commands.{step}", where=where)
        # One that is killed in the midst of a pass keeps the lease for minutes.
        until(lambda: self.passes() == 1)
        self.id = str(world.provider.create(Details(client_reference_id="mia"))["id"])
        world.provider.quiesce()
        world.provider.set_faults({"drop": 1})
        if step == "refused" and gone:
            world.provider.act(self.id, Action.DISCONNECT)

    def live_again(self) -> None:
        """Wait until the service dies, and start it anew."""
        self.world.service.bury()
        self.world.service.start(kill_at_commit=0)

    def effects(self) -> dict[str, Any]:
        """What calls really did at the provider."""
        effects: dict[str, Any] = self.world.provider.truth()["effects"]
        return effects

    def state(self) -> dict[str, Any]:
        """What the service says of the connection."""
        answer = self.world.ask("GET", f"/api/connections/{self.id}")
        assert answer is not None
        found: dict[str, Any] = answer.json()
        return found

    def passes(self) -> int:
        """How many passes over the list came to a good end."""
        answer = self.world.ask("GET", "/api/sweeps?limit=500")
        assert answer is not None
        return [one["state"] for one in answer.json()["items"]].count("valid")

    def swept(self, good: Callable[[dict[str, Any]], bool]) -> bool:
        """Have the list read, and tell whether what the service says of the connection is good."""
        self.world.ask("POST", "/api/sweeps", json={})
        return good(self.state())


@pytest.mark.parametrize(("step", "where"), PLACES)
def test_a_deletion_survives_a_kill(sqlite_url: str, tmp_path: Path, step: str, where: str) -> None:
    """It happens once, and is proved in the end."""
    with world(sqlite_url, tmp_path) as made:
        one = Commanded(made, step, where)
        made.ask("DELETE", f"/api/connections/{one.id}", json={})
        one.live_again()
        if (step, where) == ("requested", "before"):
            assert one.state()["deletionRequestedAt"] is None
            made.ask("DELETE", f"/api/connections/{one.id}", json={})
        until(lambda: one.swept(lambda state: state["status"] == "deleted"))
        assert one.effects()["deleted"] == ({} if step == "refused" else {one.id: 1})
        assert made.service.stop() == 0


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_refusal_through_the_drop_in_survives_a_kill(
    sqlite_url: str, tmp_path: Path, where: str
) -> None:
    """Its caller was told nothing: it goes on, unless the log says already that it is over."""
    with world(sqlite_url, tmp_path) as made:
        one = Commanded(made, "refused", where, gone=False)
        made.provider.set_faults({"http403": 1})
        assert made.ask("DELETE", f"/v2/connections/{one.id}") is None
        made.provider.set_faults({})
        one.live_again()
        if where == "before":
            until(lambda: one.state()["status"] == "deleted")
        passes = one.passes()
        until(lambda: one.swept(lambda _: one.passes() >= passes + 2))
        assert one.effects()["deleted"] == ({one.id: 1} if where == "before" else {})
        assert (one.state()["deletionRequestedAt"] is None) == (where == "after")
        assert made.service.stop() == 0


@pytest.mark.parametrize(("step", "where"), PLACES)
def test_an_end_of_a_session_survives_a_kill(
    sqlite_url: str, tmp_path: Path, step: str, where: str
) -> None:
    """It happens once, also when the creator logs in again while the service is dead."""
    with world(sqlite_url, tmp_path) as made:
        one = Commanded(made, step, where)
        path = f"/api/connections/{one.id}/invalidate"
        made.ask("POST", path, json={})
        made.service.bury()
        if (step, where) in DONE:
            made.provider.act(one.id, Action.RECONNECT)
        made.service.start(kill_at_commit=0)
        if (step, where) == ("requested", "before"):
            made.ask("POST", path, json={})
        end = "active" if (step, where) in DONE else "deleted" if step == "refused" else "expired"
        until(lambda: one.swept(lambda state: state["status"] == end))
        passes = one.passes()
        until(lambda: one.swept(lambda _: one.passes() >= passes + PASSES))
        assert one.state()["status"] == end
        assert one.effects()["invalidated"] == ({} if step == "refused" else {one.id: 1})
        assert made.service.stop() == 0
