"""OFAuth's official SDK, unchanged: it works against the emulator as against OFAuth."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import version

import onlyfans_sdk
import pytest
from onlyfans_sdk import account, link
from onlyfans_sdk.models import (
    V2AccountConnectionsConnectionIdSettingsGetResponse,
    V2AccountConnectionsConnectionIdSettingsPatchResponse,
    V2AccountConnectionsGetResponse,
    V2AccountConnectionsImportPostResponse,
    V2AccountWhoamiGetResponse,
    V2LinkClientSecretGetResponse,
    V2LinkInitPostResponse,
)
from onlyfans_sdk.webhooks import (
    WebhookVerificationError,
    verify_webhook_payload,
    verify_webhook_signature,
)

from api.emulator.calls import Call
from api.emulator.emulator import Emulator
from api.emulator.server import EmulatorServer
from api.emulator.world import Action, Details
from ledger.ofauth.signatures import Secret

SECRET = "whsec_YSBzZWNyZXQgZm9yIHRoZSBTREs="
IMPORT = {"cookie": "auth_id=4711; sess=a; fp=b", "userAgent": "Mozilla"}


class Rig:
    """The emulator, the SDK's client, and the webhooks that were sent."""

    def __init__(self, stack: ExitStack) -> None:
        self.got: list[tuple[bytes, dict[str, str]]] = []
        self.emulator = Emulator(
            seed=1,
            now=lambda: time.time_ns() // 1_000_000,
            monotonic=time.monotonic,
            secret=Secret(SECRET),
            send=self._receive,
            api_key="a-key",
        )
        self.url = stack.enter_context(EmulatorServer(self.emulator)).url
        self.client = stack.enter_context(onlyfans_sdk.OFAuthClient("a-key", base_url=self.url))

    def _receive(self, body: bytes, headers: Mapping[str, str]) -> bool:
        self.got.append((body, dict(headers)))
        return True

    def create(self, reference: str = "mia") -> str:
        """Let a creator connect, and give the id."""
        return str(self.emulator.create(Details(client_reference_id=reference))["id"])

    def statuses(self) -> dict[str, str]:
        """What really is."""
        return {row["id"]: row["status"] for row in self.emulator.truth()["list"]}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An emulator that asks for a key, with the SDK in front of it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ExitStack() as stack:
        yield Rig(stack)


def test_the_sdk_says_whose_key_it_is(rig: Rig) -> None:
    """And reads the answer as its own model."""
    told = V2AccountWhoamiGetResponse.model_validate(account.whoami(rig.client))
    assert told.id == rig.emulator.organisation


def test_the_sdk_lists(rig: Rig) -> None:
    """A page is a page of its own model, when every fact is there."""
    connection = rig.create()
    rig.emulator.act(connection, Action.EXPIRE)
    page = account.list_connections(rig.client, status="expired", imported="false", limit=5)
    read = V2AccountConnectionsGetResponse.model_validate(page)
    assert [(row.id, row.status.value) for row in read.list] == [(connection, "expired")]
    assert read.hasMore is False


@pytest.mark.parametrize("next_offset", [False, True])
def test_the_sdk_iterates(rig: Rig, next_offset: bool) -> None:
    """Over pages of 20 and of fewer, and also by `nextOffset`."""
    made = {rig.create(f"creator-{number}") for number in range(45)}
    rig.emulator.set_manner({"nextOffset": next_offset})
    for options in ({}, {"page_size": 7}):
        ids = [row["id"] for row in account.iter_connections(rig.client, **options)]
        assert len(ids) == 45
        assert set(ids) == made
    assert len(list(account.iter_connections(rig.client, max_items=23))) == 23


def test_the_sdk_deletes(rig: Rig) -> None:
    """Once; the second time it raises."""
    connection = rig.create()
    account.delete_connections(rig.client, connection)
    assert rig.statuses() == {}
    with pytest.raises(onlyfans_sdk.OFAuthError) as caught:
        account.delete_connections(rig.client, connection)
    assert caught.value.status == 404


def test_the_sdk_takes_an_empty_confirmation(rig: Rig) -> None:
    """204 is an empty object to it."""
    rig.emulator.set_manner({"emptyConfirmation": True})
    assert account.delete_connections(rig.client, rig.create()) == {}


def test_the_sdk_invalidates(rig: Rig) -> None:
    """The record is kept."""
    connection = rig.create()
    account.invalidate_connections(rig.client, connection)
    assert rig.statuses() == {connection: "expired"}


def test_the_sdk_reads_and_changes_settings(rig: Rig) -> None:
    """Both answers are of its own models."""
    connection = rig.create()
    body = {"vaultPlus": {"enabled": True, "settings": {"retentionDays": 7}}}
    changed = account.update_connection_settings(rig.client, connection, body)
    V2AccountConnectionsConnectionIdSettingsPatchResponse.model_validate(changed)
    told = account.get_connection_settings(rig.client, connection)
    read = V2AccountConnectionsConnectionIdSettingsGetResponse.model_validate(told)
    assert (read.connectionId, read.vaultPlus.enabled) == (connection, True)


def test_the_sdk_imports(rig: Rig) -> None:
    """And renews the session of what it imported."""
    made = account.create_connections_connections_import(
        rig.client, {**IMPORT, "clientReferenceId": "mia"}
    )
    read = V2AccountConnectionsImportPostResponse.model_validate({**made, "expiredAt": "never"})
    assert read.imported
    account.update_connections_connections_import(rig.client, read.id, IMPORT)
    assert rig.statuses() == {read.id: "active"}


def test_the_sdk_starts_a_link_session(rig: Rig) -> None:
    """Polls it while a creator clicks through, and reads how it ended."""
    body = {"clientReferenceId": "mia", "redirectUrl": "https://app.example/return"}
    started = V2LinkInitPostResponse.model_validate(link.init_v2_link(rig.client, body))
    secret = started.url.rpartition("/")[2]
    states = [_poll(rig, secret)]
    for choice in ("continue", "continue", "login-2fa", "code"):
        rig.emulator.call(Call.make("POST", started.url, body=f"choice={choice}".encode()))
        states.append(_poll(rig, secret))
    assert states == ["initialized", "pending", "pending", "awaiting_2fa", "completed"]
    link.delete_v2_link(rig.client, secret)
    assert _poll(rig, secret) == "not_found"
    assert list(rig.statuses().values()) == ["active"]


def _poll(rig: Rig, secret: str) -> str:
    told = V2LinkClientSecretGetResponse.model_validate(link.get_v2_link(rig.client, secret))
    return str(told.status.value)


def test_the_sdk_reads_errors_in_its_own_form(rig: Rig) -> None:
    """By the setting; of the documented form it knows only the status."""
    messages = {}
    for form in ("sdk", "documented"):
        rig.emulator.set_manner({"errorForm": form})
        with pytest.raises(onlyfans_sdk.OFAuthError) as caught:
            account.delete_connections(rig.client, "conn_never")
        messages[form] = (str(caught.value)[:20], caught.value.code)
    assert messages == {
        "sdk": ("No connection has th", "RESOURCE_NOT_FOUND"),
        "documented": ("HTTP 404", None),
    }


@pytest.mark.parametrize("shape", ["sdk", "documented", "older"])
def test_the_sdk_accepts_what_the_emulator_signs(rig: Rig, shape: str) -> None:
    """In the Svix dialect, which is the only one that it knows."""
    rig.emulator.set_style({"dialect": "svix", "shape": shape})
    connection = rig.create("müller/1")
    for action in Action:
        rig.emulator.act(connection, action)
    rig.emulator.quiesce()
    assert len(rig.got) == 1 + len(Action)
    for body, headers in rig.got:
        assert verify_webhook_signature(body.decode(), headers, SECRET) is True
        assert verify_webhook_payload(body, headers, SECRET) == json.loads(body)


def test_the_sdk_refuses_what_somebody_else_signed(rig: Rig) -> None:
    """The check above can fail."""
    rig.emulator.set_style({"dialect": "svix"})
    rig.create()
    rig.emulator.quiesce()
    [(body, headers)] = rig.got
    with pytest.raises(WebhookVerificationError):
        verify_webhook_payload(body + b" ", headers, SECRET)
    with pytest.raises(WebhookVerificationError):
        verify_webhook_payload(body, headers, "whsec_c29tZWJvZHkgZWxzZQ==")


def test_the_sdk_is_the_published_one() -> None:
    """Not a copy of ours: what it does is not ours to change."""
    assert version("onlyfans-sdk") == "3.1.0"
