"""How long the client waits before it asks again, or at all."""

from __future__ import annotations

import pytest

from ledger.ofauth.errors import ProviderFailed, RateLimited
from tests.asking import JITTER, Clock, asking
from tests.calling import COMMANDS, WHOLE, delete, failing, forward
from tests.fault_server import FaultServer, answer


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0"}, 0.0),
        ({"Retry_After": "86400"}, 60.0),
        ({"Retry_After": "9" * 5000}, 60.0),
        (
            {
                "Date": "Tue, 14 Nov 2023 22:13:00 GMT",
                "Retry_After": "Tue, 14 Nov 2023 22:13:09 GMT",
            },
            9.0,
        ),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "-5"}, None),
        ({}, None),
    ],
)
def test_a_question_waits_as_long_as_it_is_told_and_never_longer_than_a_minute(
    headers: dict[str, str], waits: float | None
) -> None:
    """Without a readable `Retry-After` the waits grow, as after any failure."""
    clock = Clock()
    with (
        FaultServer(answer(503, b"", **headers)) as provider,
        asking(provider.url, clock) as client,
        pytest.raises(ProviderFailed),
    ):
        client.whoami()
    expected = [0.0, 1.0, 2.0] if waits is None else [max(waits, least) for least in (0, 1, 2)]
    assert clock.slept == [one + JITTER for one in expected]


def test_a_429_holds_up_every_call() -> None:
    """Also one of another thread: the limit is the key's, not the call's."""
    clock = Clock()
    limited = answer(429, b"", Retry_After="4")
    with FaultServer(limited, answer(204)) as provider, asking(provider.url, clock) as client:
        with pytest.raises(RateLimited):
            client.delete("conn_1")
        client.delete("conn_1")
    assert clock.slept == [4.0]


def test_a_command_does_not_wait_long_for_its_turn() -> None:
    """Somebody waits for it: it is refused without asking, and told how long it would take."""
    clock = Clock()
    with (
        FaultServer(answer(429, b"", Retry_After="30")) as provider,
        asking(provider.url, clock) as client,
    ):
        with pytest.raises(RateLimited):
            client.delete("conn_1")
        for call in (*COMMANDS, forward):
            with pytest.raises(RateLimited) as caught:
                call(client)
            assert caught.value.retry_after == 30.0
            assert not caught.value.may_have_happened
        assert len(provider.asked) == 1
    assert clock.slept == []


def test_no_provider_can_ask_for_more_than_a_day() -> None:
    """Whoever waits as long as an error says, wakes up."""
    for text in ("86401", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"):
        failed, _ = failing(delete, answer(429, b"", Retry_After=text))
        assert failed.retry_after == 86_400.0


def test_questions_wait_for_their_turn() -> None:
    """No more than the rate in the long run, whatever is asked."""
    clock = Clock()
    with FaultServer(WHOLE) as provider, asking(provider.url, clock, rate=2.0, burst=3) as client:
        for _ in range(7):
            client.connections(limit=1, offset=0)
    assert clock.slept == [0.5, 0.5, 0.5, 0.5]
