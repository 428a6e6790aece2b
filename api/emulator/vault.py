"""The settings of one connection, as OFAuth keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.emulator.calls import read_typed


@dataclass(slots=True)
class Vault:
    """Whether a connection's media are cached, and with which settings of its own."""

    enabled: bool = False
    overrides: dict[str, Any] = field(default_factory=dict)

    def change(self, body: Mapping[str, Any]) -> None:
        """Take over a PATCH; null resets the settings.

        Raises:
            BadRequest: a value is of the wrong type.
        """
        wanted = read_typed(body, "vaultPlus", dict) or {}
        enabled = read_typed(wanted, "enabled", bool)
        given = read_typed(wanted, "settings", dict)
        if enabled is not None:
            self.enabled = enabled
        if given is not None:
            self.overrides |= given
        elif "settings" in wanted:
            self.overrides = {}

    def as_json(self, connection_id: str) -> dict[str, Any]:
        """Give the answer to a GET."""
        return {
            "connectionId": connection_id,
            "vaultPlus": {
                "enabled": self.enabled,
                "settingsOverrides": self.overrides,
                "stats": {
                    "vaultPlusEnabled": self.enabled,
                    "totalStorageBytes": 0,
                    "storageLimitBytes": 0,
                    "mediaCount": 0,
                    "storedCount": 0,
                    "storageUsagePercent": 0,
                },
            },
        }
