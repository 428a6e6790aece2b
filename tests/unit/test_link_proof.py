"""Which connection proves a Link session: the rules, one by one."""

from dataclasses import replace

import pytest

from ledger.domain.claim import Claim, Kind
from ledger.domain.connection import Connection, fold
from ledger.domain.link_proof import is_open, proofs
from ledger.domain.link_session import LinkSession
from ledger.domain.status import Status
from tests.given import (
    CONNECTION,
    MINUTE,
    NOON,
    active,
    as_statement,
    awaiting_2fa,
    birth,
    created,
    disconnected,
    expired,
    first_seen,
    row,
    updated,
)
from tests.linked import CLIENT, HOUR, asked, failed, opened, proved, said, session

OTHER = "conn_other"
FIRST = "link_000000000000000000000001"
SECOND = "link_000000000000000000000002"


def connection(*claims: Claim, id: str = CONNECTION) -> Connection:
    """Fold claims about one connection, which may have another id than usual."""
    folded = fold(id, [as_statement(replace(c, connection_id=id).identified()) for c in claims])
    assert folded is not None
    return folded


def ended_in(*sessions: LinkSession, by: tuple[Connection, ...] = ()) -> dict[str, tuple[str, int]]:
    """By session: the connection that proves it, and when (milliseconds after noon)."""
    found = proofs(sessions, {one.id: one for one in by})
    return {proof.session.id: (proof.connection, proof.proved_at - NOON) for proof in found}


def proved_by(one: LinkSession, *by: Connection) -> tuple[str, int] | None:
    """The connection that proves a session, and when."""
    return ended_in(one, by=by).get(one.id)


BORN = connection(created(at=MINUTE, client=CLIENT))
OPEN = session(asked(), opened())
FOR_X = session(asked(connection=CONNECTION), opened())


class TestUnreported:
    """Nobody named the connection."""

    def test_a_connection_that_is_born_while_it_is_open_proves_it(self) -> None:
        """By a webhook, or by a row that was seen for the first time."""
        assert proved_by(OPEN, BORN) == (CONNECTION, MINUTE)
        seen = (
            birth(at=MINUTE, client=CLIENT),
            first_seen(Kind.ROW_UPDATED, at=2 * MINUTE, status=Status.ACTIVE),
        )
        assert proved_by(OPEN, connection(*seen)) == (CONNECTION, 2 * MINUTE)
        assert proved_by(OPEN, connection(*seen[:1])) is None

    def test_one_that_waits_for_its_second_factor_proves_it_when_that_is_passed(self) -> None:
        """Until then the creator has not finished."""
        waiting = created(at=MINUTE, client=CLIENT, status=Status.AWAITING_2FA)
        assert proved_by(OPEN, connection(waiting)) is None
        assert proved_by(OPEN, connection(waiting, active(at=2 * MINUTE))) == (
            CONNECTION,
            2 * MINUTE,
        )

    @pytest.mark.parametrize(
        "claims",
        [
            (created(at=-HOUR, client=CLIENT), expired(at=-MINUTE), active(at=MINUTE)),
            (created(at=-HOUR, client=CLIENT, status=Status.AWAITING_2FA), active(at=MINUTE)),
        ],
    )
    def test_one_that_becomes_active_proves_it(self, claims: tuple[Claim, ...]) -> None:
        """Reconnected, or activated."""
        assert proved_by(OPEN, connection(*claims)) == (CONNECTION, MINUTE)

    @pytest.mark.parametrize(
        "claims",
        [
            (created(at=-HOUR, client=CLIENT),),
            (created(at=-HOUR, client=CLIENT), active(at=MINUTE)),
            (created(at=-HOUR, client=CLIENT), expired(at=MINUTE)),
            (created(at=-HOUR, client=CLIENT), updated(at=MINUTE, permissions=["x"])),
            (active(at=MINUTE, client=CLIENT),),
            (awaiting_2fa(at=MINUTE, client=CLIENT),),
            (
                birth(at=-HOUR, client=CLIENT),
                first_seen(Kind.ROW_UPDATED, at=MINUTE, status=Status.ACTIVE),
            ),
            (
                created(at=-HOUR, client=CLIENT),
                disconnected(at=-30 * MINUTE),
                row(answered=MINUTE, updatedAt=NOON + MINUTE),
            ),
        ],
    )
    def test_one_that_does_not_come_to_life_proves_nothing(self, claims: tuple[Claim, ...]) -> None:
        """It was there before, or may have been."""
        assert proved_by(OPEN, connection(*claims)) is None

    @pytest.mark.parametrize(
        ("at", "proves"),
        [(-2001, False), (-2000, True), (HOUR + 5 * MINUTE, True), (HOUR + 5 * MINUTE + 1, False)],
    )
    def test_only_while_it_is_open(self, at: int, proves: bool) -> None:
        """From the request, in whole seconds, until five minutes after its end."""
        found = proved_by(OPEN, connection(created(at=at, client=CLIENT)))
        assert (found is not None) is proves

    def test_two_candidates_prove_nothing(self) -> None:
        """It is not certain which it was."""
        twin = connection(created(at=2 * MINUTE, client=CLIENT), id=OTHER)
        assert proved_by(OPEN, BORN, twin) is None

    @pytest.mark.parametrize("reference", ["somebody_else", None])
    def test_a_connection_of_another_client_proves_nothing(self, reference: str | None) -> None:
        """Nor does one of nobody's."""
        assert proved_by(OPEN, connection(created(at=MINUTE, client=reference))) is None
        nobodys = session(asked(client=None), opened())
        assert proved_by(nobodys, connection(created(at=MINUTE, client=reference))) is None

    def test_a_session_that_was_never_opened_is_not_proved(self) -> None:
        """Nobody got its URL."""
        assert proved_by(session(asked()), BORN) is None
        assert proved_by(session(asked(), failed()), BORN) is None

    def test_a_browser_that_gave_up_or_erred_is_no_matter(self) -> None:
        """It may have gone on."""
        assert proved_by(session(asked(), opened(), said(status="error"), failed()), BORN)

    def test_of_several_sessions_the_last_one_is_proved(self) -> None:
        """One coming to life ends one session; whatever the order in which they are given."""
        first = session(asked(), opened(), id=FIRST)
        second = session(asked(at=1000), opened(at=1000), id=SECOND)
        for order in ((first, second), (second, first)):
            assert ended_in(*order, by=(BORN,)) == {SECOND: (CONNECTION, MINUTE)}

    def test_what_proved_a_session_does_not_prove_another(self) -> None:
        """Nor when it was recorded before."""
        done = session(asked(), opened(), proved(at=MINUTE), id=FIRST)
        later = session(asked(at=1000), opened(at=1000), id=SECOND)
        assert ended_in(done, later, by=(BORN,)) == {}

    def test_each_session_is_proved_by_its_own_connection(self) -> None:
        """The one for a known connection by that, the other by the one that was born."""
        back = connection(
            created(at=-HOUR, client=CLIENT), expired(at=-MINUTE), active(at=2 * MINUTE), id=OTHER
        )
        again = session(asked(connection=OTHER), opened(), id=FIRST)
        new = session(asked(at=500), opened(at=500), id=SECOND)
        found = ended_in(again, new, by=(BORN, back))
        assert found == {FIRST: (OTHER, 2 * MINUTE), SECOND: (CONNECTION, MINUTE)}


class TestForAConnection:
    """The session was to bring a connection back to life."""

    def test_that_one_proves_it(self) -> None:
        """Whosever it is: the session was for it."""
        for client in (CLIENT, None, "somebody_else"):
            back = connection(
                created(at=-HOUR, client=client), expired(at=-MINUTE), active(at=MINUTE)
            )
            assert proved_by(FOR_X, back) == (CONNECTION, MINUTE)

    def test_another_one_does_not(self) -> None:
        """That may be a fork, which nobody reported."""
        born = connection(created(at=MINUTE, client=CLIENT), id=OTHER)
        assert proved_by(FOR_X, born) is None

    def test_a_row_read_later_proves_it_by_when_it_changed(self) -> None:
        """Not by when it was answered; and not when it says nothing of that."""
        before = (created(at=-HOUR, client=CLIENT), expired(at=-MINUTE))
        late = row(answered=3 * HOUR, updatedAt=NOON + 2 * MINUTE)
        assert proved_by(FOR_X, connection(*before, late)) == (CONNECTION, 2 * MINUTE)
        assert proved_by(FOR_X, connection(*before, row(answered=3 * HOUR))) is None


class TestReported:
    """A browser named the connection."""

    NAMED = session(asked(), opened(), said(connection=CONNECTION))

    def test_a_signed_word_that_it_is_active_is_enough(self) -> None:
        """It needs no transition: the webhook of its expiry may have been lost."""
        again = connection(created(at=-HOUR, client=CLIENT), active(at=MINUTE))
        first = connection(active(at=MINUTE, client=CLIENT))
        assert proved_by(self.NAMED, again) == (CONNECTION, MINUTE)
        assert proved_by(self.NAMED, first) == (CONNECTION, MINUTE)

    def test_a_later_word_is_enough_for_one_that_was_born_while_it_was_open(self) -> None:
        """The webhooks of that time were lost, and a row says how it has been since."""
        born, before = birth(at=MINUTE, client=CLIENT), birth(at=-HOUR, client=CLIENT)
        for status in (Status.ACTIVE, Status.EXPIRED):
            late = row(answered=3 * HOUR, updatedAt=NOON + 3 * HOUR, status=status)
            assert proved_by(self.NAMED, connection(born, late)) == (CONNECTION, MINUTE)
            assert proved_by(self.NAMED, connection(before, late)) is None
        waiting = row(answered=3 * HOUR, updatedAt=NOON + 3 * HOUR, status=Status.AWAITING_2FA)
        assert proved_by(self.NAMED, connection(born, waiting)) is None

    def test_it_proves_one_that_the_connection_it_was_for_seemed_to_prove(self) -> None:
        """That one came to life by itself, before the browser came back."""
        done = proved(connection=CONNECTION)
        first = session(asked(connection=CONNECTION), opened(), done)
        again = session(
            asked(connection=CONNECTION), opened(), done, said(at=2 * MINUTE, connection=OTHER)
        )
        born = connection(created(at=2 * MINUTE, client=CLIENT), id=OTHER)
        assert proved_by(first, born) is None
        assert proved_by(again, born) == (OTHER, 2 * MINUTE)

    def test_without_any_the_report_proves_nothing(self) -> None:
        """Nor does a row that did not change while it was open."""
        before = created(at=-HOUR, client=CLIENT)
        assert proved_by(self.NAMED) is None
        assert proved_by(self.NAMED, connection(before)) is None
        old_row = row(answered=10 * MINUTE, updatedAt=NOON - HOUR)
        assert proved_by(self.NAMED, connection(before, old_row)) is None
        assert proved_by(self.NAMED, connection(before, expired(at=MINUTE))) is None

    def test_a_connection_of_another_client_is_not_bound(self) -> None:
        """Anybody can report anything."""
        for client in ("somebody_else", None):
            assert proved_by(self.NAMED, connection(created(at=MINUTE, client=client))) is None

    def test_another_connection_of_the_client_does_not_stand_in_for_it(self) -> None:
        """The named one may still come."""
        born = connection(created(at=MINUTE, client=CLIENT), id=OTHER)
        assert proved_by(self.NAMED, born) is None

    def test_a_report_of_failure_names_nothing(self) -> None:
        """Whatever id it carries."""
        gave_up = session(asked(), opened(), said(status="cancelled", connection=OTHER))
        assert proved_by(gave_up, BORN) == (CONNECTION, MINUTE)

    def test_several_sessions_may_name_the_same(self) -> None:
        """Two browsers of one creator."""
        two = [
            session(asked(), opened(), said(connection=CONNECTION), id=one)
            for one in (FIRST, SECOND)
        ]
        assert len(ended_in(*two, by=(BORN,))) == 2

    @pytest.mark.parametrize(
        ("target", "meant"), [(None, None), (CONNECTION, None), (OTHER, OTHER)]
    )
    def test_ending_in_another_connection_than_asked_for_is_a_fork(
        self, target: str | None, meant: str | None
    ) -> None:
        """The provider makes a new one in silence when it does not find the old one."""
        one = session(asked(connection=target), opened(), said(connection=CONNECTION))
        (proof,) = proofs([one], {CONNECTION: BORN})
        assert (proof.meant, proof.meant_known) == (meant, False)
        known = {CONNECTION: BORN, OTHER: connection(created(at=-HOUR), id=OTHER)}
        (proof,) = proofs([one], known)
        assert (proof.meant, proof.meant_known) == (meant, meant is not None)


def test_a_session_is_open_from_its_request_to_shortly_after_its_end() -> None:
    """Never before it was started."""
    assert not is_open(session(asked()), NOON)
    assert is_open(OPEN, NOON)
    assert not is_open(OPEN, NOON + 2 * HOUR)
