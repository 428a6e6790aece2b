"""A program of your own in the demonstration: what it asks the ledger for over HTTP."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

from api.demo.calling import Caller
from api.demo.service import StageError

PATIENCE_S: Final = 20.0
"""How long anything that must come may take, in seconds."""
_WAIT_S: Final = 1
"""How long one question for news waits at most, in seconds."""
Told = dict[str, Any]
"""What the ledger answered."""
T = TypeVar("T")


class Program:
    """Asks the ledger, and is answered by all that was in its log at the last `catch_up`."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare to ask the service that listens at `url`."""
        self._caller = Caller(url, {"Authorization": f"Bearer {token}"})
        self._position = 0
        self._heard = 0
        """How far it has read the feed."""

    # questions

    def client(self, reference: str, **moment: str) -> Told:
        """Ask for a client, now or at a moment (`asOf`, `validAt`)."""
        return self._view(f"/api/clients/{quote(reference)}", moment)

    def history(self, reference: str) -> list[Told]:
        """Ask for a client's history, as a timeline."""
        return self._items(f"/api/clients/{quote(reference)}/history", by="occurredAt")

    def connection(self, connection_id: str) -> Told:
        """Ask for a connection."""
        return self._view(f"/api/connections/{connection_id}")

    def connection_history(self, connection_id: str) -> list[Told]:
        """Ask for a connection's history, as a timeline."""
        return self._items(f"/api/connections/{connection_id}/history", by="occurredAt")

    def statuses(self) -> dict[str, str]:
        """Ask for all connections: status by connection id."""
        return {one["id"]: one["status"] for one in self._items("/api/connections", limit="500")}

    def duplicates(self) -> list[Told]:
        """Ask for the accounts that are connected more than once."""
        return self._items("/api/duplicates")

    def parked(self) -> list[Told]:
        """Ask for the deliveries that could not be read."""
        return self._items("/api/parked")

    def link(self, link_id: str) -> Told:
        """Ask for a Link session."""
        return self._call("GET", f"/api/links/{link_id}")

    # wishes

    def begin_link(self, reference: str) -> Told:
        """Ask for a Link session of a client: the answer's `url` is for the creator."""
        return self._call("POST", "/api/links", body={"clientReferenceId": reference})

    def reconnect(self, connection_id: str) -> Told:
        """Ask for a Link session that brings a connection back to life."""
        return self._call("POST", f"/api/connections/{connection_id}/reconnect", body={})

    def delete(self, connection_id: str, reason: str) -> Told:
        """Have a connection deleted; the answer says only that it is under way."""
        return self._call("DELETE", f"/api/connections/{connection_id}", body={"reason": reason})

    def sweep(self) -> Told:
        """Have a pass over OFAuth's list made, and give how it ended.

        Raises:
            StageError: it did not end in time.
        """
        path = f"/api/sweeps/{self._call('POST', '/api/sweeps', body={})['id']}"
        return self.until(
            "the end of a pass",
            lambda: self._call("GET", path),
            lambda told: told["state"] != "running",
        )

    # waiting

    def catch_up(self) -> None:
        """Let answers from now on include all that is in the log now."""
        self._call("GET", "/api/projections")

    def await_first_pass(self) -> None:
        """Wait for the pass that the ledger makes when it starts.

        Raises:
            StageError: it is not valid in time.
        """
        self.until(
            "the first pass",
            lambda: self._items("/api/sweeps", fresh=False),
            lambda passes: [one["state"] for one in passes] == ["valid"],
        )

    def until(self, what: str, ask: Callable[[], T], good: Callable[[T], bool]) -> T:
        """Ask, and again whenever there is something new in the log, until the answer is good.

        Raises:
            StageError: it is not in time.
        """
        end = time.monotonic() + PATIENCE_S
        while not good(found := ask()):
            if time.monotonic() > end:
                raise StageError(f"{what} did not come in {PATIENCE_S:g} s. Run the demo again.")
            self._await_news()
        return found

    def follow(self, seconds: float) -> None:
        """Follow the feed for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._await_news()

    def close(self) -> None:
        """Close its connections."""
        self._caller.close()

    def _await_news(self) -> None:
        query = {"after": str(self._heard), "limit": "500", "wait": str(_WAIT_S)}
        self._heard = self._call("GET", "/api/events", query=query)["nextAfter"]

    def _items(self, path: str, *, fresh: bool = True, **query: str) -> list[Told]:
        told = self._view(path, query) if fresh else self._call("GET", path, query=query)
        items: list[Told] = told["items"]
        return items

    def _view(self, path: str, query: Mapping[str, str] | None = None) -> Told:
        """Ask what is answered from the views, and wait until they have come so far."""
        least = {"minPosition": str(self._position)} if self._position else {}
        return self._call("GET", path, query={**(query or {}), **least})

    def _call(self, method: str, path: str, **how: Any) -> Told:
        answer = self._caller.call(method, path, **how)
        position = int(answer.headers.get("Ledger-Position", 0))
        self._position = max(self._position, position)
        told: Told = answer.json()
        return told
