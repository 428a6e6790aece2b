"""An emulator for somebody's tests: one call, and it listens on this machine."""

import base64
import hashlib
import time

from api.emulator.clock import now_ms
from api.emulator.emulator import Emulator
from api.emulator.sender import WebhookSender
from api.emulator.server import EmulatorServer
from ledger.ofauth.signatures import Secret


def local_emulator(
    *,
    seed: int = 0,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    api_key: str | None = None,
    port: int = 0,
) -> EmulatorServer:
    """Make an emulator that listens on 127.0.0.1; use it in a `with` statement.

    Its `url` is the base URL of OFAuth, its `emulator` lets things happen. Port 0 takes a free one.
    Without `webhook_url` no webhooks go out; without `webhook_secret` the seed makes one, which
    `emulator.webhook_secret` tells; without `api_key` any key is taken.

    Raises:
        OSError: the port cannot be listened on.
    """
    return EmulatorServer(
        Emulator(
            seed=seed,
            now=now_ms,
            monotonic=time.monotonic,
            secret=Secret(webhook_secret or secret_of(seed)),
            send=None if webhook_url is None else WebhookSender(webhook_url),
            api_key=api_key,
        ),
        port=port,
    )


def secret_of(seed: int) -> str:
    """Give a signing secret that every dialect can use; only for tests, anybody can make it."""
    key = hashlib.sha256(f"emulator {seed}".encode()).digest()[:24]
    return f"whsec_{base64.b64encode(key).decode()}"
