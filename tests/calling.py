"""Calls of the provider's API, one of each kind, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.ofauth.client import LinkInit, OFAuthClient
from ledger.ofauth.errors import ProviderError
from tests.asking import asking
from tests.fault_server import FaultServer, Reaction, answer

Call = Callable[[OFAuthClient], Any]
WHOLE = answer(200, {"list": [], "hasMore": False})


def ask_list(client: OFAuthClient) -> Any:
    """A question about no connection."""
    return client.connections(limit=10, offset=0)


def probe(client: OFAuthClient) -> Any:
    """A question about a connection."""
    return client.probe("conn_1")


def delete(client: OFAuthClient) -> Any:
    """A command about a connection."""
    return client.delete("conn_1")


def invalidate(client: OFAuthClient) -> Any:
    """Another one."""
    return client.invalidate("conn_1")


def link(client: OFAuthClient) -> Any:
    """A command about none."""
    return client.link_init(LinkInit(connection_id="conn_1"))


def forward(client: OFAuthClient) -> Any:
    """Somebody's command."""
    return client.forward("DELETE", "/v2/connections/conn_1", query={})


NAMING = [probe, delete, invalidate]
COMMANDS = [delete, invalidate, link]


def failing(call: Call, *reactions: Reaction, **more: Any) -> tuple[ProviderError, int]:
    """The error with which a call ends, and how often the provider was asked."""
    with (
        FaultServer(*reactions) as provider,
        asking(provider.url, **more) as client,
        pytest.raises(ProviderError) as caught,
    ):
        call(client)
    return caught.value, len(provider.asked)
