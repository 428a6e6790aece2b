"""What the demonstration plays on: the real service and a fake OFAuth that speak to each other."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from api.demo.calling import TIMEOUT_S, plain_session
from api.demo.program import Program
from api.demo.provider import Provider
from api.demo.service import Service
from api.emulator.emulator import Emulator
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from ledger.ofauth.signatures import Dialect, Secret, sign


class Stage:
    """Service and emulator, joined by HTTP, and a program that asks the service."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        secret: Secret,
        token: str,
        now: Callable[[], int],
    ) -> None:
        """Start both, with files in `folder`.

        `environment` is the service's; where it and OFAuth are is added. `now` gives milliseconds
        since the epoch, UTC.

        Raises:
            StageError: the service did not start.
        """
        self._now = now
        self._secret = secret
        address = folder / "public-url"  # a file, because nobody knows it before it listens
        address.touch()
        with ExitStack() as ends:
            emulator = Emulator(
                seed=0,
                now=now,
                monotonic=time.monotonic,
                secret=secret,
                send=lambda body, headers: self._send(body, headers),  # it is made below
            )
            server = ends.enter_context(EmulatorServer(emulator))
            own = {"LEDGER_OFAUTH_URL": server.url, "LEDGER_PUBLIC_URL_FILE": str(address)}
            self.service = Service(folder / "service.log", {**environment, **own})
            ends.callback(self.service.stop)
            address.write_text(self.service.url)
            self.webhook_url = f"{self.service.url}/webhooks/ofauth"
            self._send = WebhookSender(self.webhook_url)
            self.emulator_url = server.url
            self.provider = Provider(server.url)
            ends.callback(self.provider.close)
            self.program = Program(self.service.url, token)
            ends.callback(self.program.close)
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

    def settle(self, *, keep_held: bool = False) -> int:
        """Wait until OFAuth has delivered, and give how many deliveries were taken so far.

        What the program is answered from now on includes them.
        """
        taken = self.provider.quiesce(keep_held=keep_held)
        self.program.catch_up()
        return taken

    def deliver(self, body: bytes, *, secret: Secret | None = None) -> int:
        """Post a body that is signed now, with OFAuth's secret or another, and give the status."""
        stamp = self._now() // 1000
        headers = sign(Dialect.DOCUMENTED, secret or self._secret, body, stamp=stamp)
        headers["Content-Type"] = "application/json"
        with plain_session() as http:
            answer = http.post(self.webhook_url, data=body, headers=headers, timeout=TIMEOUT_S)
        self.program.catch_up()
        return answer.status_code
