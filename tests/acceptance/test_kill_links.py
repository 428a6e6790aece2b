"""Wherever the service dies or is cut off in the life of a Link session, it ends well.

The oracle is the provider: how often it really opened a session. The steps are those of
`ledger.links`; each is stopped at before it happens and after it, on both databases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import requests

from api.emulator.emulator import Emulator
from api.emulator.links import Login
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from api.emulator.world import Details
from ledger.domain.link_session import UNANSWERED_MS, LinkSession, LinkState, fold_link
from ledger.domain.words import link_of
from ledger.links import STEPS
from ledger.ofauth.signatures import Secret
from ledger.recorders import open_log
from ledger.recorders.codec import to_event
from tests.acceptance.service import SECRET, TOKEN, Service, service_on
from tests.builders import Clock

PLACES = [*product(STEPS, ("before", "after"))]
OPENED = {("called", "after"), ("started", "before"), ("started", "after")}
"""Where a session that nobody gets was opened at the provider all the same."""
UNANSWERED = {*product(("requested", "called", "started", "failed"), ("before", "after"))}
"""Where whoever asked for a session gets none."""
SECONDS = 30.0


@dataclass
class World:
    """The service as a child process, the provider in this one, and a creator with a browser."""

    service: Service
    provider: Emulator
    browser: requests.Session = field(default_factory=requests.Session)
    back: str = ""
    """The address at which the creator comes back to the service."""

    @property
    def opened(self) -> int:
        """How many sessions the provider has opened."""
        opened: int = self.provider.truth()["effects"]["linked"]
        return opened

    def ask(self, method: str, path: str, **more: Any) -> requests.Response | None:
        """Ask the service as the program that uses it; None when it dies meanwhile."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        try:
            return requests.request(
                method, self._url(path), headers=headers, timeout=SECONDS, **more
            )
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return None

    def begin(self) -> str | None:
        """Ask for a session; None when there is no answer, or a bad one."""
        answer = self.ask("POST", "/api/links", json={"clientReferenceId": "mia"})
        if answer is None or answer.status_code == 503:
            return None
        assert answer.status_code == 201, answer.text
        link: str = answer.json()["linkId"]
        return link

    def log_in(self, link: str) -> None:
        """Let the creator open the link and log in at the provider."""
        answer = self.browser.get(
            self._url(f"/link/start/{link}"), allow_redirects=False, timeout=SECONDS
        )
        assert answer.status_code == 303
        secret = answer.headers["Location"].rpartition("/")[2]
        done = self.provider.log_in(secret, Login(details=Details()))
        self.back = done["redirectUrl"]

    def come_back(self) -> int | None:
        """Let the browser come back; gives the status, None when the service dies meanwhile."""
        try:
            answer = self.browser.get(self.back, allow_redirects=False, timeout=SECONDS)
        except requests.ConnectionError:
            return None
        return answer.status_code

    def await_completion(self, link: str) -> dict[str, Any]:
        """Wait until a connection proves the session."""
        end = time.monotonic() + SECONDS
        while True:
            answer = self.ask("GET", f"/api/links/{link}")
            found: dict[str, Any] = {} if answer is None else answer.json()
            if found.get("status") == "completed":
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.service.port}{path}"


@contextmanager
def world(url: str, folder: Path) -> Iterator[World]:
    """Prepare everything; the service is not started yet."""
    with service_on(url, folder) as service:
        own = f"http://127.0.0.1:{service.port}"
        provider = Emulator(
            seed=0,
            now=lambda: time.time_ns() // 1_000_000,
            monotonic=time.monotonic,
            secret=Secret(SECRET),
            send=WebhookSender(f"{own}/webhooks/ofauth"),
        )
        with EmulatorServer(provider) as server:
            service.environment |= {
                "LEDGER_OFAUTH_URL": server.url,
                "LEDGER_OFAUTH_API_KEY": "any",
                "LEDGER_PUBLIC_URL": own,
                "LEDGER_RETURN_URLS": "https://app.example/done",
            }
            yield World(service, provider)


def sessions(url: str) -> dict[str, LinkSession]:
    """Every session of the log, by id; each of its events is there once."""
    log = open_log(url, writer=False, entropy=os.urandom, now=Clock())
    rows = log.read_log(0, 10_000, topics=["link."])
    log.close()
    streams: dict[str, list[Any]] = {}
    for row in rows:
        streams.setdefault(row.stream, []).append(to_event(row))
    found = {}
    for stream, events in streams.items():
        names = [event.NAME for event in events]
        assert len(names) == len(set(names)), names
        folded = fold_link(link_of(stream), events)
        assert folded is not None
        found[folded.id] = folded
    return found


def end_well(world: World, url: str, step: str, where: str, how: str) -> None:
    """Live a session whose service is stopped at a step once, and see how everything ends."""
    world.service.start(stop_at=f"ledger.links:Links.{step}", where=where, how=how)
    world.provider.set_faults({"http429": 1} if step == "failed" else {})
    link = world.begin()
    world.provider.set_faults({})
    came_back = False
    if link is not None:
        world.log_in(link)
        came_back = world.come_back() == 303
    if how == "killed":
        world.service.bury()
        world.service.start()
    assert (link is None) == ((step, where) in UNANSWERED)
    before = world.opened
    assert before == (1 if link is not None or (step, where) in OPENED else 0)
    if link is None:
        link = world.begin()
        assert link is not None
        world.log_in(link)
        before += 1
    if not came_back:
        assert world.come_back() == 303
    world.provider.redeliver()
    world.provider.quiesce()
    found = world.await_completion(link)
    assert found["report"]["status"] == "success"
    assert world.service.stop() == 0
    # Nothing was asked for twice, and nobody was logged in twice.
    assert world.opened == before
    assert len(world.provider.truth()["list"]) == 1
    told = sessions(url)
    assert told.pop(link).state(0) is LinkState.COMPLETED
    for other in told.values():
        later = other.ends_at
        assert later - other.request.observed >= UNANSWERED_MS
        assert other.state(later) in (LinkState.FAILED, LinkState.LAPSED)
        refused = (step, where) == ("failed", "after")
        reason = "rate_limited" if refused else "unknown_outcome"
        assert other.failure(later) == (reason if other.started is None else None)


@pytest.mark.parametrize(("step", "where"), PLACES)
def test_a_session_survives_a_kill(
    database_url: str, tmp_path: Path, step: str, where: str
) -> None:
    """The service is killed at the step and started again."""
    with world(database_url, tmp_path) as made:
        end_well(made, database_url, step, where, "killed")


@pytest.mark.parametrize(("step", "where"), PLACES)
def test_a_session_survives_a_cut(sqlite_url: str, tmp_path: Path, step: str, where: str) -> None:
    """The work breaks off at the step, and the service goes on."""
    with world(sqlite_url, tmp_path) as made:
        end_well(made, sqlite_url, step, where, "cut")
