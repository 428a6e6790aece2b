"""An emulator in the test's own process: no network, no threads, and a clock in the test's hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests.structures import CaseInsensitiveDict

from api.emulator.calls import Answer, Call, Ending
from api.emulator.emulator import Emulator
from api.emulator.world import Action, Details
from ledger.ofauth import answers, transport
from ledger.ofauth.client import OFAuthClient, Paths
from ledger.ofauth.errors import Unreachable
from ledger.ofauth.signatures import Secret

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
SECRET = Secret("whsec_ZW11bGF0ZWQgaW4gcHJvY2Vzcw==")


@dataclass
class Office:
    """An emulator whose clock goes on as `pass_time` says, and what it sent."""

    seed: int = 1
    api_key: str | None = None
    refusing: bool = False
    """Whether the receiver of webhooks acknowledges none."""
    got: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    """Body and headers of each webhook that was sent."""
    ms: int = NOON

    def __post_init__(self) -> None:
        self.emulator = Emulator(
            seed=self.seed,
            now=lambda: self.ms,
            monotonic=lambda: self.ms / 1000,
            secret=SECRET,
            send=self._receive,
            api_key=self.api_key,
        )

    def _receive(self, body: bytes, headers: Any) -> bool:
        self.got.append((body, dict(headers)))
        return not self.refusing

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and deliver what comes due."""
        self.ms += round(seconds * 1000)
        self.emulator.pump()

    def create(self, reference: str | None = "mia", **options: Any) -> str:
        """Let a creator connect, and give the connection's id."""
        row = self.emulator.create(Details(client_reference_id=reference), **options)
        return str(row["id"])

    def act(self, connection: str, action: Action) -> None:
        """Let something happen to a connection."""
        self.emulator.act(connection, action)

    def send(self, method: str, target: str, body: Any = None, key: str = "any") -> Answer:
        """Make a call, and give the whole answer."""
        sent = b"" if body is None else json.dumps(body).encode()
        return self.emulator.call(Call.make(method, target, headers={"apiKey": key}, body=sent))

    def ask(self, method: str, target: str, body: Any = None, *, status: int = 200) -> Any:
        """Make a call that is answered with a status, and give the answer's JSON."""
        answer = self.send(method, target, body)
        assert answer.status == status, answer.body
        return answer.json()

    def list_ids(self, query: str = "limit=100") -> list[str]:
        """Give the ids of a page of the list."""
        return [row["id"] for row in self.ask("GET", f"/v2/account/connections?{query}")["list"]]

    def link(self, **body: Any) -> str:
        """Start a Link session, and give the address of its page."""
        return str(self.ask("POST", "/v2/link/init", body)["url"])

    def browse(self, method: str, url: str, **form: str) -> Answer:
        """Look at a page, or press a button on it."""
        return self.emulator.call(Call.make(method, url, body=urlencode(form).encode()))

    def press(self, url: str, *choices: str) -> dict[str, str]:
        """Press buttons of a Link page one after the other, and give where the last one leads.

        That is the query of the address, empty when it is the page itself.
        """
        location = url
        for choice in choices:
            answer = self.browse("POST", url, choice=choice)
            assert answer.status == 303
            location = answer.headers["Location"]
        return dict(parse_qsl(urlsplit(location).query))

    def told(self) -> list[tuple[str, str]]:
        """Give type and status of each webhook so far."""
        self.emulator.pump()
        bodies = [json.loads(body) for body, _ in self.got]
        return [(one["type"], one["data"]["connection"]["status"]) for one in bodies]


class Carrier:
    """Carries calls of the ledger's client to an office, in place of its transport to a network.

    A slow answer lets time pass in the office; after ten seconds nobody waits any longer.
    """

    def __init__(self, office: Office, key: str = "any") -> None:
        self.office = office
        self.key = key
        """The API key that is sent."""

    def send(self, call: transport.Call) -> answers.Answer:
        """Make a call once, as `ledger.ofauth.transport.Transport.send` does."""
        asked = self.office.ms
        answer = self.office.emulator.call(
            Call.make(
                call.method,
                f"{call.path}?{urlencode(call.query)}",
                headers={"apikey": self.key},
                body=call.body or b"",
            )
        )
        self.office.ms += round(min(answer.wait, transport.TIMEOUTS.read) * 1000)
        if answer.wait > transport.TIMEOUTS.read or answer.ending is not Ending.WHOLE:
            raise Unreachable("no whole answer in time", may_have_happened=call.commands)
        return answers.Answer(
            status=answer.status,
            headers=CaseInsensitiveDict(answer.headers),
            body=answer.body,
            asked=asked,
            commands=call.commands,
        )

    def close(self) -> None:
        """There is nothing to let go of."""


def client_of(office: Office, *, key: str = "any", paths: Paths = Paths.ACCOUNT) -> OFAuthClient:
    """Give the ledger's own client, which asks this office and waits on the office's clock."""

    def wait(seconds: float) -> None:
        office.ms += round(seconds * 1000)

    client = OFAuthClient(
        "http://ofauth.test",
        lambda: key,
        paths=paths,
        now_ms=lambda: office.ms,
        monotonic=lambda: office.ms / 1000,
        sleep=wait,
        jitter=lambda: 0.0,
    )
    client._transport = Carrier(office, key)
    return client
