"""Beginning and ending Link sessions: what is written, in which order, whatever goes wrong."""

from typing import Any

import pytest

from ledger.application import LinkStep, Noted, Outcome, Recorded
from ledger.domain.errors import LedgerBusy
from ledger.domain.link_events import LinkEvent
from ledger.domain.link_proof import Proof
from ledger.domain.link_session import ASSUMED_LIFE_MS, ReportStatus, is_link_id
from ledger.links import STEPS, Links, Report, Wish, reason_for
from ledger.ofauth.client import LinkInit, LinkStarted
from ledger.ofauth.errors import (
    ConnectionGone,
    Forbidden,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RefusedKey,
    Rejected,
    Unreachable,
    UnreadableAnswer,
)
from ledger.recorders import codec
from tests.builders import NOON, Clock, counting_entropy
from tests.linked import LINK, asked, opened, session

URL = "https://link.ofauth.example/s/1"
WISH = Wish(client="mia", return_url="https://app.example", by="ops", reason="by phone")
REQUEST = LinkInit(redirect_url="https://ledger.example/link/return", client_reference_id="mia")
Step = LinkStep | Noted


class Opener:
    """A provider that opens a session, or fails."""

    def __init__(self, error: Exception | None = None, expires_at: int | None = NOON + 1) -> None:
        self.error = error
        self.expires_at = expires_at
        self.asked: list[LinkInit] = []

    def link_init(self, request: LinkInit) -> LinkStarted:
        """Open a session."""
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return LinkStarted(url=URL, expires_at=self.expires_at, answered=NOON)


class Written:
    """Steps in the order in which they became durable."""

    def __init__(self, *refused: str) -> None:
        self.steps: list[Step] = []
        self.refused = refused
        self.links = Links(self.write, now=Clock(), entropy=counting_entropy())

    def write(self, step: Step) -> Recorded:
        """Make a step durable."""
        if isinstance(step, LinkStep) and step.events[0].NAME in self.refused:
            raise LedgerBusy("Not now.")
        self.steps.append(step)
        return Recorded(Outcome.NEW, len(self.steps), "link:x")

    @property
    def events(self) -> list[LinkEvent]:
        """What was written of sessions."""
        return [event for one in self.steps if isinstance(one, LinkStep) for event in one.events]

    @property
    def names(self) -> list[str]:
        """The types of that."""
        return [event.NAME for event in self.events]


def test_the_request_is_durable_before_the_provider_is_called() -> None:
    """And the start before anybody gets the link."""
    written = Written()

    class Watching(Opener):
        def link_init(self, request: LinkInit) -> LinkStarted:
            assert written.names == ["link.requested"]
            return super().link_init(request)

    opener = Watching()
    begun = written.links.begin(WISH, opener, REQUEST)
    assert opener.asked == [REQUEST]
    assert written.names == ["link.requested", "link.started"]
    assert is_link_id(begun.link)
    assert (begun.expires_at, begun.position) == (NOON + 1, 2)
    assert {step.link for step in written.steps if isinstance(step, LinkStep)} == {begun.link}


def test_what_was_wanted_is_written_down_whole() -> None:
    """The reason and the address apart, with salted digests of them."""
    written = Written()
    wish = Wish(
        client="mia", connection="conn_1", return_url="https://app.example", by="ops",
        via="drop_in", risk="unknown_target", reason="by phone",
    )  # fmt: skip
    written.links.begin(wish, Opener(), REQUEST)
    requested, started = (step for step in written.steps if isinstance(step, LinkStep))
    (event,) = requested.events
    said = {name: getattr(event, name) for name in ("client", "connection", "return_url", "by")}
    assert said == {
        "client": "mia", "connection": "conn_1", "return_url": "https://app.example", "by": "ops",
    }  # fmt: skip
    assert (event.via, event.risk, event.observed) == ("drop_in", "unknown_target", NOON)  # type: ignore[attr-defined]
    assert requested.payload == b'{"reason": "by phone"}'
    assert started.payload == URL.encode()
    for step in (requested, started):
        assert step.salt is not None
        assert step.payload is not None
        assert step.events[0].digest == codec.digest(step.salt, step.payload)  # type: ignore[attr-defined]
    assert requested.salt != started.salt


def test_without_a_reason_nothing_rests_beside_the_request() -> None:
    """There is nothing to be erased."""
    written = Written()
    written.links.requested(Wish(client="mia", by="ops"))
    (step,) = written.steps
    assert isinstance(step, LinkStep)
    assert (step.payload, step.events[0].digest) == (None, "")  # type: ignore[attr-defined]


def test_a_session_whose_end_the_provider_does_not_name_lasts_an_hour() -> None:
    """What was said is written down, what is assumed is answered."""
    written = Written()
    begun = written.links.begin(WISH, Opener(expires_at=None), REQUEST)
    assert begun.expires_at == NOON + ASSUMED_LIFE_MS
    assert written.events[1].expires_at is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("x"), "unreachable"),
        (RefusedKey("x"), "refused_key"),
        (Forbidden("x"), "forbidden"),
        (RateLimited("x"), "rate_limited"),
        (Rejected("x"), "rejected"),
        (ConnectionGone("x"), "refused"),
        (UnreadableAnswer("x"), "refused"),
        (Unreachable("x", may_have_happened=True), "unknown_outcome"),
        (ProviderFailed("x", may_have_happened=True), "unknown_outcome"),
        (UnreadableAnswer("x", may_have_happened=True), "unknown_outcome"),
        (ZeroDivisionError("x"), "unknown_outcome"),
    ],
)
def test_a_call_that_fails_is_made_once_and_its_outcome_written_down(
    error: Exception, reason: str
) -> None:
    """Whatever it is; and the caller gets the error."""
    written, opener = Written(), Opener(error)
    with pytest.raises(type(error)):
        written.links.begin(WISH, opener, REQUEST)
    assert len(opener.asked) == 1
    assert written.names == ["link.requested", "link.failed"]
    assert written.events[1].reason == reason == reason_for(error)  # type: ignore[attr-defined]


def test_nothing_is_asked_when_the_request_does_not_become_durable() -> None:
    """Nobody would know of the session."""
    written, opener = Written("link.requested"), Opener()
    with pytest.raises(LedgerBusy):
        written.links.begin(WISH, opener, REQUEST)
    assert opener.asked == []


def test_nobody_gets_a_session_whose_start_does_not_become_durable() -> None:
    """It is not asked for again: the request alone tells that it may exist."""
    written, opener = Written("link.started"), Opener()
    with pytest.raises(LedgerBusy):
        written.links.begin(WISH, opener, REQUEST)
    assert len(opener.asked) == 1
    assert written.names == ["link.requested"]


def test_the_providers_error_is_told_even_when_the_failure_cannot_be_written_down() -> None:
    """What the caller can do depends on that."""
    written = Written("link.failed")
    with pytest.raises(ProviderError):
        written.links.begin(WISH, Opener(RefusedKey("x")), REQUEST)
    assert written.names == ["link.requested"]


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (ReportStatus.SUCCESS, ["link.reported"]),
        (ReportStatus.CANCELLED, ["link.reported", "link.cancelled"]),
        (ReportStatus.ERROR, ["link.reported", "link.failed"]),
    ],
)
def test_a_report_is_written_with_the_end_that_it_claims(
    status: ReportStatus, names: list[str]
) -> None:
    """In one step; a success claims none, because only a connection proves it."""
    written = Written()
    report = Report(channel="embed", status=status, step="2fa", error="e", connection="conn_1")
    written.links.reported(LINK, report)
    assert len(written.steps) == 1
    assert written.names == names
    first, *rest = written.events
    said: Any = first
    assert (said.channel, said.status, said.step) == ("embed", status.value, "2fa")
    assert (said.error, said.connection) == ("e", "conn_1")
    ends = [(getattr(one, "step", None), getattr(one, "reason", None)) for one in rest]
    assert ends == {"cancelled": [("2fa", None)], "error": [(None, "reported")]}.get(status, [])


def test_a_fork_is_noted_in_both_connections_before_the_session_is_completed() -> None:
    """So that whoever dies in between is made up for: a session that is not complete is looked at
    again.
    """
    written = Written()
    one = session(asked(connection="conn_old"), opened())
    written.links.completed(Proof(one, "conn_new", NOON + 5, "conn_old", meant_known=True))
    new, old, last = written.steps
    assert isinstance(new, Noted)
    assert isinstance(old, Noted)
    assert isinstance(last, LinkStep)
    assert (new.claim.connection_id, new.claim.k) == ("conn_new", NOON + 5)
    assert new.claim.fields == {"predecessorId": "conn_old", "linkId": LINK}
    assert (old.claim.connection_id, old.claim.k) == ("conn_old", NOON + 5)
    assert old.claim.fields == {"successorId": "conn_new", "linkId": LINK}
    assert {note.evidence.stream for note in (new, old)} == {f"link:{LINK}"}
    assert written.names == ["link.completed"]


def test_nothing_is_noted_in_a_connection_that_nobody_heard_of() -> None:
    """A note would make it known."""
    written = Written()
    one = session(asked(connection="conn_old"), opened())
    written.links.completed(Proof(one, "conn_new", NOON + 5, "conn_old", meant_known=False))
    noted = [step.claim.connection_id for step in written.steps if isinstance(step, Noted)]
    assert noted == ["conn_new"]


def test_every_step_is_a_method() -> None:
    """They are what is cut and killed in tests; and each method is one, or made of them."""
    public = {name for name in vars(Links) if not name.startswith("_")}
    assert public == {*STEPS, "begin"}
