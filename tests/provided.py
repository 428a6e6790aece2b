"""A service in this process with a provider that it asks, and whose webhooks are all lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from api.emulator.emulator import Emulator
from api.emulator.server import EmulatorServer
from api.emulator.world import Details
from tests.builders import SECRET
from tests.rebuilding import until
from tests.serving import Serving

KEY = "canary-provider-key"


def now_ms() -> int:
    """The time, milliseconds UTC."""
    return time.time_ns() // 1_000_000


@contextmanager
def silent_provider() -> Iterator[EmulatorServer]:
    """A provider that delivers no webhooks."""
    emulator = Emulator(
        seed=1,
        now=now_ms,
        monotonic=time.monotonic,
        secret=SECRET,
        send=None,
        api_key=KEY,
    )
    with EmulatorServer(emulator) as server:
        yield server


def settings_for(provider: EmulatorServer) -> dict[str, str]:
    """What a service needs to know of the provider; the next pass by itself is days away."""
    return {
        "LEDGER_OFAUTH_URL": provider.url,
        "LEDGER_OFAUTH_API_KEY": KEY,
        "LEDGER_SWEEP_SECONDS": "1000000",
    }


class Provided(Serving):
    """A service whose first pass over the provider's list is done, and that provider."""

    def __init__(self, url: str, folder: Path, provider: EmulatorServer) -> None:
        super().__init__(url, folder, **settings_for(provider))
        self.provider = provider.emulator
        self.provider_url = provider.url

    def __enter__(self) -> Self:
        super().__enter__()
        until(lambda: self.states() == ["valid"])
        return self

    # at the provider

    def connect(self, reference: str = "mia", *, at: int | None = None) -> str:
        """Let a creator connect, now or at a time, of which a webhook tells; gives the id."""
        row = self.provider.create(Details(client_reference_id=reference), at=at)
        told = {"userData": row["userData"], "permissions": row["permissions"]}
        told_at = now_ms() if at is None else at
        self.tell("created", row["id"], at=told_at, ref=reference, status=row["status"], **told)
        return str(row["id"])

    def effects(self) -> Any:
        """What calls did at the provider."""
        return self.provider.truth()["effects"]

    # passes

    def sweep(self, **body: Any) -> Any:
        """Have a pass made, and give it when it has ended."""
        response = self.post("/api/sweeps", body)
        assert response.status_code == 202, response.text
        path = f"/api/sweeps/{response.json['id']}"
        until(lambda: self.read(path, minPosition=None)["state"] != "running")
        told = self.read(path, minPosition=None)
        self.position = max(self.position, told["position"] or 0)
        return told

    def passes(self) -> list[Any]:
        """The passes, the newest first."""
        items: list[Any] = self.read("/api/sweeps", minPosition=None)["items"]
        return items

    def states(self) -> list[str]:
        """How they ended."""
        return [one["state"] for one in self.passes()]

    # in the ledger

    def types(self, id: str) -> list[str]:
        """What happened to a connection, by everything in the log."""
        self.position = self.service.services.log.head().position
        items = self.read(f"/api/connections/{id}/history")["items"]
        return [one["type"].removeprefix("connection.") for one in items]
