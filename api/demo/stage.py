"""What the demonstration plays on: service and emulator, and the calls that it makes to both."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import requests

from api.demo.service import Service, StageError
from api.emulator.emulator import Emulator
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from ledger.ofauth.signatures import Dialect, Secret, sign

_TIMEOUT_S: Final = 60.0


class Stage:
    """Service and emulator, joined by HTTP; all times are RFC 3339 texts."""

    def __init__(
        self,
        log: Path,
        environment: Mapping[str, str],
        *,
        secret: Secret,
        token: str,
        now: Callable[[], int],
    ) -> None:
        """Start both; `environment` is the service's, `now` in milliseconds, UTC.

        Raises:
            StageError: the service did not start.
        """
        self._now = now
        self._secret = secret
        self._token = token
        self._position = 0
        with ExitStack() as ends:
            self.service = Service(log, environment)
            ends.callback(self.service.stop)
            self.webhook_url = f"{self.service.url}/webhooks/ofauth"
            emulator = Emulator(
                seed=0,
                now=now,
                monotonic=time.monotonic,
                secret=secret,
                send=WebhookSender(self.webhook_url, answered=self._note),
            )
            self.emulator_url = ends.enter_context(EmulatorServer(emulator)).url
            self._http = ends.enter_context(requests.Session())
            self._http.trust_env = False
            self._ends = ends.pop_all()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.close()

    def create(self, **creator: Any) -> str:
        """Let a creator finish Link at OFAuth, and give the connection's id."""
        row = self._control("POST", "connections", creator)
        return str(row["id"])

    def act(self, connection_id: str, action: str, **how: Any) -> None:
        """Let something happen to a connection at OFAuth."""
        self._control("POST", f"connections/{connection_id}/{action}", how)

    def sign_like(self, dialect: str) -> None:
        """Let OFAuth sign in this dialect from now on."""
        self._control("PUT", "deliveries", {"dialect": dialect})

    def faults(self, **faults: float) -> None:
        """Let this go wrong from now on."""
        self._control("PUT", "faults", faults)

    def settle(self, *, keep_held: bool = False) -> int:
        """Wait until OFAuth has delivered, and give how many deliveries it made so far."""
        answer = self._control("POST", "quiesce", {"keepHeld": keep_held})
        return int(answer["deliveries"]["acknowledged"])

    def truth(self) -> dict[str, str]:
        """Give what OFAuth lists: status by connection id."""
        rows = self._control("GET", "truth", None)["list"]
        return {row["id"]: row["status"] for row in rows}

    def client(self, reference: str, **moment: str) -> dict[str, Any]:
        """Ask the ledger for a client, now or at a moment (`asOf`, `validAt`)."""
        return self._ask(f"/api/clients/{quote(reference)}", moment)

    def history(self, reference: str) -> list[dict[str, Any]]:
        """Ask the ledger for a client's history, as a timeline."""
        answer = self._ask(f"/api/clients/{quote(reference)}/history", {"by": "occurredAt"})
        entries: list[dict[str, Any]] = answer["items"]
        return entries

    def statuses(self) -> dict[str, str]:
        """Ask the ledger for all connections: status by connection id."""
        items = self._ask("/api/connections", {"limit": "500"})["items"]
        return {one["id"]: one["status"] for one in items}

    def parked(self) -> list[dict[str, Any]]:
        """Ask the ledger for the deliveries that could not be read."""
        items: list[dict[str, Any]] = self._ask("/api/parked", {})["items"]
        return items

    def deliver(self, body: bytes, *, secret: Secret | None = None) -> int:
        """Post a body that is signed now, with OFAuth's secret or another, and give the status."""
        stamp = self._now() // 1000
        headers = sign(Dialect.DOCUMENTED, secret or self._secret, body, stamp=stamp)
        headers["Content-Type"] = "application/json"
        answer = self._http.post(self.webhook_url, data=body, headers=headers, timeout=_TIMEOUT_S)
        self._note(answer)
        return answer.status_code

    def _note(self, answer: requests.Response) -> None:
        """Remember the last position, so that answers wait until they include it."""
        self._position = max(self._position, int(answer.headers.get("Ledger-Position", 0)))

    def _control(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        url = f"{self.emulator_url}/_emulator/{path}"
        return _json(self._http.request(method, url, json=body, timeout=_TIMEOUT_S))

    def _ask(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        params = {**query, "minPosition": str(self._position)} if self._position else query
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self.service.url}{path}"
        return _json(self._http.get(url, params=params, headers=headers, timeout=_TIMEOUT_S))


def _json(answer: requests.Response) -> dict[str, Any]:
    if not answer.ok:
        path = answer.request.path_url.partition("?")[0].split("/")[1:3]
        raise StageError(f"/{'/'.join(path)}… answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body
