"""OFAuth's side of the demonstration: what happens there, by the emulator's controls."""

from collections.abc import Mapping
from typing import Any

from api.demo.calling import Caller


class Provider:
    """Lets things happen at the fake OFAuth. All times are RFC 3339 texts."""

    def __init__(self, url: str) -> None:
        """Prepare to control the emulator that listens at `url`."""
        self._caller = Caller(f"{url}/_emulator")

    def create(self, **creator: Any) -> str:
        """Let a creator connect without a Link session of ours, and give the connection's id."""
        return str(self._control("POST", "/connections", creator)["id"])

    def act(self, connection_id: str, action: str, **how: Any) -> None:
        """Let something happen to a connection."""
        self._control("POST", f"/connections/{connection_id}/{action}", how)

    def sign_like(self, dialect: str) -> None:
        """Let webhooks be signed in this dialect from now on."""
        self._control("PUT", "/deliveries", {"dialect": dialect})

    def faults(self, **faults: float) -> None:
        """Let this go wrong from now on; nothing else does."""
        self._control("PUT", "/faults", faults)

    def quiesce(self, *, keep_held: bool = False) -> int:
        """Wait until it has delivered, and give how many deliveries were taken so far."""
        answer = self._control("POST", "/quiesce", {"keepHeld": keep_held})
        return int(answer["deliveries"]["acknowledged"])

    def truth(self) -> dict[str, str]:
        """Give what OFAuth lists: status by connection id."""
        rows = self._control("GET", "/truth")["list"]
        return {row["id"]: row["status"] for row in rows}

    def close(self) -> None:
        """Close its connections."""
        self._caller.close()

    def _control(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        told: dict[str, Any] = self._caller.call(method, path, body=body).json()
        return told
