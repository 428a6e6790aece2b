"""The API key that the client of the provider sends."""

from __future__ import annotations

import pytest

from ledger.ofauth.errors import RefusedKey
from tests.asking import asking
from tests.fault_server import FaultServer, answer

EMPTY = answer(200, {"list": [], "hasMore": False})


def test_calls_that_belong_together_keep_to_one_key() -> None:
    """Also when another one has come meanwhile."""
    keys = ["first", "second"]
    with (
        FaultServer(EMPTY, EMPTY, EMPTY) as provider,
        asking(provider.url, api_key=lambda: keys[0]) as client,
    ):
        together = client.with_present_key()
        together.connections(limit=1, offset=0)
        keys.pop(0)
        together.connections(limit=1, offset=0)
        client.connections(limit=1, offset=0)
    assert [asked.headers["apikey"] for asked in provider.asked] == ["first", "first", "second"]


def test_the_key_is_asked_for_at_each_call() -> None:
    """A rotation needs no new client."""
    keys = ["first", "second"]
    with (
        FaultServer(EMPTY) as provider,
        asking(provider.url, api_key=lambda: keys.pop(0)) as client,
    ):
        for _ in range(2):
            client.connections(limit=1, offset=0)
        assert [asked.headers["apikey"] for asked in provider.asked] == ["first", "second"]


@pytest.mark.parametrize("key", ["", "with space", "two\nlines", "clé"])
def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(key: str) -> None:
    """And is not shown."""
    with (
        FaultServer(EMPTY) as provider,
        asking(provider.url, api_key=lambda: key) as client,
        pytest.raises(RefusedKey) as caught,
    ):
        client.whoami()
    assert provider.asked == []
    assert not caught.value.may_have_happened
    assert key == "" or key not in str(caught.value)
