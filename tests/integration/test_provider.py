"""The client as the service makes it, and against the emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from api.bootstrap import open_service
from api.emulator.emulator import Emulator
from api.emulator.server import EmulatorServer
from api.settings import LiveSettings, Settings
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
from ledger.ofauth.rows import read_row
from ledger.ofauth.signatures import Secret
from tests.asking import KEY, asking
from tests.fault_server import FaultServer, answer
from tests.serving import Serving, environment


@pytest.fixture
def emulator_url() -> Iterator[str]:
    """The address of an emulator that takes one key and has three connections."""
    emulator = Emulator(
        seed=1,
        now=lambda: time.time_ns() // 1_000_000,
        monotonic=time.monotonic,
        secret=Secret("whsec_ZW11bGF0b3I="),
        send=lambda body, headers: True,
        api_key=KEY,
    )
    with ExitStack() as stack:
        url = stack.enter_context(EmulatorServer(emulator)).url
        for client in ("a", "b", "c"):
            control(url, "POST", "connections", clientReferenceId=client)
        yield url


def control(url: str, method: str, name: str, **values: object) -> None:
    """Use a control of the emulator."""
    done = requests.request(method, f"{url}/_emulator/{name}", json=values, timeout=20)
    assert done.ok, done.text


@pytest.mark.parametrize("paths", Paths)
def test_the_whole_list_is_read_page_by_page(emulator_url: str, paths: Paths) -> None:
    """Under both families of paths, in rows that the ledger reads."""
    rows = []
    with asking(emulator_url, paths=paths) as client:
        page = client.connections(limit=2, offset=0)
        rows += page.rows
        assert page.has_more
        page = client.connections(limit=2, offset=2)
        rows += page.rows
    assert not page.has_more
    assert page.dated
    assert abs(page.answered - time.time() * 1000) < 60_000
    assert len({row["id"] for row in rows}) == 3
    claims = [read_row(row, answered=page.answered, first_seen=False)[0] for row in rows]
    assert {claim.fields["clientReferenceId"] for claim in claims} == {"a", "b", "c"}


def test_whoami_takes_the_right_key_only(emulator_url: str) -> None:
    """Another one is refused, in the emulator's form of errors."""
    with asking(emulator_url) as client:
        assert client.whoami().id
    with (
        asking(emulator_url, api_key=lambda: "another") as client,
        pytest.raises(RefusedKey) as caught,
    ):
        client.whoami()
    assert caught.value.type == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("html", ProviderFailed),
        ("http5xx", ProviderFailed),
        ("http403", Forbidden),
        ("http429", RateLimited),
        ("truncate", UnreadableAnswer),
        ("cut", Unreachable),
        ("lostRequest", Unreachable),
        ("lostAnswer", Unreachable),
    ],
)
def test_each_fault_of_the_emulator_has_its_error(
    emulator_url: str, fault: str, error: type[ProviderError]
) -> None:
    """When it always strikes; once it does not, the list is read."""
    with asking(emulator_url) as client:
        control(emulator_url, "PUT", "faults", **{fault: 1})
        with pytest.raises(error):
            client.connections(limit=10, offset=0)
        control(emulator_url, "PUT", "faults")
        assert len(client.connections(limit=10, offset=0).rows) == 3


def test_commands_act_on_the_connection_that_they_name(emulator_url: str) -> None:
    """Invalidated it is expired and still there; deleted it is gone, by the provider's word."""
    with asking(emulator_url) as client:
        one, other, _ = (row["id"] for row in client.connections(limit=3, offset=0).rows)
        client.probe(one)
        client.invalidate(one)
        client.delete(other)
        rows = {row["id"]: row["status"] for row in client.connections(limit=3, offset=0).rows}
        assert rows[one] == "expired"
        assert other not in rows
        for call in (client.probe, client.delete, client.invalidate):
            with pytest.raises((ConnectionGone, NoSession)):
                call(other)


@pytest.mark.parametrize("paths", Paths)
@pytest.mark.parametrize("fault", ["lostAnswer", "late5xx", "cut"])
def test_a_command_whose_answer_is_lost_may_have_happened(
    emulator_url: str, fault: str, paths: Paths
) -> None:
    """As it has; and it was sent once."""
    with asking(emulator_url, paths=paths) as client:
        [row] = client.connections(limit=1, offset=0).rows
        control(emulator_url, "PUT", "faults", **{fault: 1})
        with pytest.raises(ProviderError) as caught:
            client.delete(row["id"])
        assert caught.value.may_have_happened
        control(emulator_url, "PUT", "faults")
        assert row not in client.connections(limit=3, offset=0).rows


def test_a_link_session_begins(emulator_url: str) -> None:
    """Its address opens in a browser, and it has an end."""
    with asking(emulator_url) as client:
        started = client.link_init(LinkInit(client_reference_id="d"))
    assert started.expires_at is not None
    assert started.expires_at > started.answered
    assert requests.get(started.url, timeout=20).ok


def test_a_service_without_a_key_has_no_client(sqlite_url: str, tmp_path: Path) -> None:
    """It listens to webhooks, and asks nothing."""
    with Serving(sqlite_url, tmp_path) as serving:
        assert serving.service.services.provider() is None


def test_a_service_follows_the_file_of_its_key(sqlite_url: str, tmp_path: Path) -> None:
    """A key that comes later, or changes, is used from the next call on."""
    key = tmp_path / "key"
    key.write_text("\n")
    organisation = answer(200, {"id": "org_1"})
    with FaultServer(organisation) as provider:
        more = {
            "LEDGER_OFAUTH_URL": provider.url,
            "LEDGER_OFAUTH_API_KEY_FILE": str(key),
            "LEDGER_DATA_DIR": str(tmp_path / "data"),
        }
        live = LiveSettings(environment(sqlite_url, **more))
        service = open_service(live(), present=live)
        try:
            assert service.services.provider() is None
            for each in ("first", "the-second"):
                key.write_text(f"{each}\n")
                client = service.services.provider()
                assert isinstance(client, OFAuthClient)
                assert client.whoami().id == "org_1"
        finally:
            service.stop()
        assert [asked.headers["apikey"] for asked in provider.asked] == ["first", "the-second"]


def test_the_setting_of_paths_reaches_the_client(sqlite_url: str, tmp_path: Path) -> None:
    """Who has only the older path sets `plain`."""
    with FaultServer(answer(200, {"list": [], "hasMore": False})) as provider:
        more = {
            "LEDGER_OFAUTH_URL": provider.url,
            "LEDGER_OFAUTH_API_KEY": KEY,
            "LEDGER_OFAUTH_PATHS": "plain",
            "LEDGER_DATA_DIR": str(tmp_path / "data"),
        }
        service = open_service(Settings.from_env(environment(sqlite_url, **more)))
        try:
            client = service.services.provider()
            assert client is not None
            client.connections(limit=1, offset=0)
        finally:
            service.stop()
        assert provider.asked[0].target.startswith("/v2/connections?")
