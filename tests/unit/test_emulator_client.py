"""The ledger's own client and the emulator, in one process and on one clock."""

from __future__ import annotations

import pytest

from ledger.ofauth.client import LinkInit, OFAuthClient, Paths
from ledger.ofauth.errors import (
    ConnectionGone,
    Forbidden,
    NoSession,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RefusedKey,
    Unreachable,
    UnreadableAnswer,
)
from tests.emulated import NOON, Office, client_of


def read_all(client: OFAuthClient) -> list[str]:
    """Read the list in pages of five."""
    ids: list[str] = []
    more = True
    while more:
        page = client.connections(limit=5, offset=len(ids))
        ids += [row["id"] for row in page.rows]
        more = page.has_more
    return ids


@pytest.mark.parametrize("paths", Paths)
def test_the_client_does_all_that_it_can(paths: Paths) -> None:
    """On both path families, and the answers are of the emulator's time."""
    office = Office()
    client = client_of(office, paths=paths)
    made = [office.create(f"creator-{number}") for number in range(12)]
    assert sorted(read_all(client)) == sorted(made)
    assert client.whoami().id == office.emulator.organisation
    assert client.probe(made[0]).answered == NOON
    client.invalidate(made[0])
    client.delete(made[1])
    started = client.link_init(LinkInit(client_reference_id="mia", connection_id=made[0]))
    assert office.press(started.url, "login")["connection_id"] == made[0]
    effects = office.emulator.truth()["effects"]
    assert (effects["invalidated"], effects["deleted"]) == ({made[0]: 1}, {made[1]: 1})


@pytest.mark.parametrize(
    ("fault", "error", "unknown"),
    [
        ("http401", RefusedKey, False),
        ("http403", Forbidden, False),
        ("http429", RateLimited, False),
        ("http5xx", ProviderFailed, True),
        ("late5xx", ProviderFailed, True),
        ("html", ProviderFailed, True),
        ("truncate", UnreadableAnswer, True),
        ("cut", Unreachable, True),
        ("lostRequest", Unreachable, True),
        ("lostAnswer", Unreachable, True),
    ],
)
def test_the_client_knows_what_it_does_not_know(
    fault: str, error: type[ProviderError], unknown: bool
) -> None:
    """Whatever struck, a command says whether it may have happened."""
    office = Office()
    connection = office.create()
    office.emulator.set_faults({fault: 1})
    with pytest.raises(error) as caught:
        client_of(office).delete(connection)
    assert caught.value.may_have_happened is unknown


@pytest.mark.parametrize("form", ["documented", "older", "sdk"])
@pytest.mark.parametrize(
    ("gone", "error"), [("RESOURCE_NOT_FOUND", ConnectionGone), ("SESSION_NOT_PROVIDED", NoSession)]
)
def test_the_client_reads_every_form_of_error(
    form: str, gone: str, error: type[ProviderError]
) -> None:
    """The type of it, wherever it stands."""
    office = Office()
    office.emulator.set_manner({"errorForm": form, "gone": gone})
    with pytest.raises(error):
        client_of(office).probe("conn_never")


def test_the_client_waits_on_the_offices_clock() -> None:
    """What the provider asks for, between its attempts."""
    office = Office()
    office.emulator.set_manner({"rateLimit": 1})
    client = client_of(office)
    client.connections(limit=5, offset=0)
    client.connections(limit=5, offset=0)
    assert office.ms == NOON + 60_000
