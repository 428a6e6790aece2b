"""A service in this process with a fake OFAuth that it can ask, and a browser that goes between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import requests
from werkzeug.test import TestResponse

from api.emulator.emulator import Emulator
from api.emulator.server import EmulatorServer
from api.link_state import COOKIE
from api.times import format_millis
from ledger.recorders.base import StoredRow
from tests.builders import SECRET
from tests.projected import dump
from tests.serving import HOOK, Serving

KEY = "key-of-the-provider"
PUBLIC = "https://ledger.example/connect"
"""The public address lies behind a proxy that cuts the path off."""
RETURN = f"{PUBLIC}/link/return"
HOME, OTHER_HOME = "https://app.example/done?tab=1#top", "https://app.example/other"
PATIENCE_S = 20.0


class Linking(Serving):
    """The service, and what browsers and the provider do to it."""

    def __init__(self, url: str, folder: Path, provider: str, **settings: str) -> None:
        linking = {
            "LEDGER_OFAUTH_URL": provider,
            "LEDGER_OFAUTH_API_KEY": KEY,
            "LEDGER_PUBLIC_URL": PUBLIC,
            "LEDGER_RETURN_URLS": f"{HOME},{OTHER_HOME}",
        }
        super().__init__(url, folder, **linking | settings)
        self.emulator_url = provider
        # of the class that closes each answer, because an open one keeps its reader's slot
        self.browser = type(self.client)(self.service.app, use_cookies=False)
        """It keeps no cookies: each test says which state it holds."""

    def begin(self, client: str = "mia", **more: Any) -> dict[str, Any]:
        """Ask for a session."""
        answer = self.post("/api/links", {"clientReferenceId": client} | more)
        assert answer.status_code == 201, answer.text
        self.position = max(self.position, int(answer.headers["Ledger-Position"]))
        begun: dict[str, Any] = answer.json
        return begun

    def start(self, link: str) -> TestResponse:
        """Open the link in a browser."""
        return self.browser.get(f"/link/start/{link}")

    def state(self, link: str) -> str:
        """The state that a browser gets which opens the link."""
        cookie = self.start(link).headers["Set-Cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        return cookie.partition("=")[2].partition(";")[0]

    def come_back(self, state: str | None, **query: str) -> TestResponse:
        """Come back from the provider, with the state that the browser holds."""
        headers = {} if state is None else {"Cookie": f"{COOKIE}={state}"}
        return self.browser.get("/link/return", query_string=query, headers=headers)

    def link(self, link: str) -> Any:
        """What is known of a session."""
        return self.read(f"/api/links/{link}")

    def await_link(self, link: str, status: str) -> Any:
        """Wait until a session has a status, and give what is known of it."""
        return self.await_that(lambda: self.link(link), lambda found: found["status"] == status)

    def await_that(self, ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """Ask until the answer is good."""
        end = time.monotonic() + PATIENCE_S
        while not good(found := ask()):
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found

    def rows(self) -> list[StoredRow]:
        """The whole log."""
        return self.service.services.log.read_log(0, 100_000)

    def views(self) -> Any:
        """Everything that the views hold, once they have read the whole log."""
        head = self.service.services.log.head().position
        assert self.service.services.views.wait_for(head, PATIENCE_S)
        with self.service._live.lent() as store:
            return dump(store)

    # at the provider

    def secret(self, link: str) -> str:
        """What names a session at the provider."""
        return self.start(link).headers["Location"].rpartition("/")[2]

    def go_through(self, link: str, **how: Any) -> dict[str, str]:
        """Let a creator go through the provider's page; gives what the browser comes back with."""
        done = self.control(f"links/{self.secret(link)}", **how)
        return dict(parse_qsl(urlsplit(done["redirectUrl"]).query))

    def long_ago(self, client: str) -> str:
        """A connection that was made two hours ago and has expired an hour ago; gives its id."""
        now = time.time_ns() // 1_000_000
        at = {hours: format_millis(now - hours * 3_600_000) for hours in (1, 2)}
        made: str = self.control("connections", clientReferenceId=client, at=at[2])["id"]
        self.control(f"connections/{made}/expire", at=at[1])
        self.control("quiesce")
        self.views()
        return made

    def control(self, path: str, method: str = "POST", **body: Any) -> Any:
        """Let something happen at the provider."""
        url = f"{self.emulator_url}/_emulator/{path}"
        answer = requests.request(method, url, json=body, timeout=PATIENCE_S)
        assert answer.ok, answer.text
        return answer.json()

    def truth(self) -> Any:
        """What really is at the provider."""
        return requests.get(f"{self.emulator_url}/_emulator/truth", timeout=PATIENCE_S).json()


@contextmanager
def linking(url: str, folder: Path, **settings: str) -> Iterator[Linking]:
    """Run a service and a fake OFAuth that deliver to each other."""
    holder: list[Linking] = []

    def send(body: bytes, headers: Any) -> bool:
        return holder[0].client.post(HOOK, data=body, headers=dict(headers)).status_code == 204

    emulator = Emulator(
        seed=0,
        now=lambda: time.time_ns() // 1_000_000,
        monotonic=time.monotonic,
        secret=SECRET,
        send=send,
    )
    with (
        # what a pass over the list writes down would come between what the tests count
        patch("api.sweeping.Sweeping.start", lambda _: None),
        EmulatorServer(emulator) as server,
        Linking(url, folder, server.url, **settings) as made,
    ):
        holder.append(made)
        yield made
