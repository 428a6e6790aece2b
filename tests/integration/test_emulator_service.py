"""The real service against the emulator with faults: in the end both tell the same."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.demo.stage import Stage
from api.emulator.world import Action
from api.times import format_millis
from ledger.ofauth.signatures import Secret

SECRET = Secret("whsec_ZW11bGF0b3IgYWdhaW5zdCBzZXJ2aWNl")
HAPPENINGS = 150


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The service as a process of its own, and the emulator that delivers to it."""
    environment = {
        **os.environ,
        "LEDGER_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "LEDGER_WEBHOOK_SECRETS": SECRET.value,
        "LEDGER_API_TOKENS": "test:read+admin:a-token-for-this-test",
    }
    with Stage(
        tmp_path,
        environment,
        secret=SECRET,
        token="a-token-for-this-test",
        now=lambda: time.time_ns() // 1_000_000,
    ) as made:
        yield made


def live(stage: Stage, dice: random.Random) -> dict[str, str]:
    """Let creators come, go and change, a minute apart, and give the status of each."""
    start = time.time_ns() // 1_000_000 - 10 * 24 * 3_600_000
    actions = [*Action, Action.EXPIRE, Action.RECONNECT, Action.RECONNECT]
    known: dict[str, str] = {}
    for minute in range(HAPPENINGS):
        at = format_millis(start + minute * 60_000)
        stage.provider.sign_like(dice.choice(["documented", "svix", "standard", "both"]))
        living = [one for one, status in known.items() if status != "deleted"]
        if len(living) < 8 or dice.random() < 0.1:
            known[stage.provider.create(clientReferenceId=f"creator-{minute}", at=at)] = "active"
            continue
        action, connection = dice.choice(actions), dice.choice(living)
        stage.provider.act(connection, action, at=at)
        if action is Action.DISCONNECT:
            known[connection] = "deleted"
    return known


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_duplicates_retries_and_disorder_change_nothing_in_the_end(stage: Stage, seed: int) -> None:
    """Whatever comes twice, late, in another order or stamped anew: the ledger has the truth."""
    stage.provider.faults(duplicate=0.3, reorder=0.3, delay=0.01, restamp=0.5)
    known = live(stage, random.Random(seed))
    stage.settle()
    assert stage.program.statuses() == known | stage.provider.truth()
    assert stage.program.parked() == []
