"""What becomes of a Link session: its states, what may follow what, and what was true when."""

import pytest

from ledger.domain.event import Event
from ledger.domain.events import ClientErased
from ledger.domain.link_events import LinkEvent
from ledger.domain.link_session import (
    ERRORS,
    LONGEST_LIFE_MS,
    STEPS,
    UNANSWERED_MS,
    LinkState,
    admitted,
    fold_link,
    is_link_id,
    provider_word,
    valid_at,
)
from tests.given import MINUTE, NOON
from tests.linked import (
    HOUR,
    LINK,
    asked,
    cancelled,
    failed,
    opened,
    proved,
    said,
    session,
)

OPEN = (asked(), opened())


class TestState:
    """Where a session stands."""

    @pytest.mark.parametrize(
        ("events", "state"),
        [
            ((asked(),), "pending"),
            (OPEN, "pending"),
            ((*OPEN, said()), "pending"),
            ((*OPEN, said(status="error"), failed()), "failed"),
            ((*OPEN, said(status="cancelled"), cancelled()), "cancelled"),
            ((*OPEN, proved()), "completed"),
            ((asked(), failed()), "failed"),
        ],
    )
    def test_it_follows_the_last_word(self, events: tuple[Event, ...], state: str) -> None:
        """A reported success is still pending: a browser proves nothing."""
        assert session(*events).state(NOON + 2 * MINUTE) == state

    @pytest.mark.parametrize("word", [failed(), cancelled()])
    def test_a_proof_wins_over_what_a_browser_said(self, word: LinkEvent) -> None:
        """Before it or after it."""
        assert session(*OPEN, word, proved()).state(NOON + HOUR) is LinkState.COMPLETED
        assert session(*OPEN, proved(), word).state(NOON + HOUR) is LinkState.COMPLETED

    def test_it_lapses_at_the_end_that_the_provider_named(self) -> None:
        """To the millisecond, without any event."""
        half = session(asked(), opened(life=HOUR // 2))
        assert half.state(NOON + HOUR // 2 - 1) is LinkState.PENDING
        assert half.state(NOON + HOUR // 2) is LinkState.LAPSED

    def test_it_lapses_after_an_hour_when_the_provider_named_no_end(self) -> None:
        """Counted from when it was opened."""
        endless = session(asked(), opened(at=MINUTE, life=None))
        assert endless.state(NOON + MINUTE + HOUR - 1) is LinkState.PENDING
        assert endless.state(NOON + MINUTE + HOUR) is LinkState.LAPSED

    def test_it_lapses_after_a_day_whatever_the_provider_named(self) -> None:
        """An end in ten years would keep a client pending for ten years."""
        long = session(asked(), opened(life=10 * LONGEST_LIFE_MS))
        assert long.state(NOON + LONGEST_LIFE_MS - 1) is LinkState.PENDING
        assert long.state(NOON + LONGEST_LIFE_MS) is LinkState.LAPSED

    def test_one_that_was_never_opened_has_failed_after_a_quarter_of_an_hour(self) -> None:
        """Whoever asked died while asking: the outcome is not known, and nobody has its URL."""
        silent = session(asked())
        assert silent.state(NOON + UNANSWERED_MS - 1) is LinkState.PENDING
        assert silent.failure(NOON + UNANSWERED_MS - 1) is None
        assert silent.state(NOON + UNANSWERED_MS) is LinkState.FAILED
        assert silent.failure(NOON + UNANSWERED_MS) == "unknown_outcome"

    def test_why_it_failed_is_a_fixed_word(self) -> None:
        """As recorded; a completed one has not failed."""
        assert session(asked(), failed(reason="refused_key")).failure(NOON + HOUR) == "refused_key"
        assert session(*OPEN, failed(), proved()).failure(NOON + HOUR) is None

    def test_nothing_before_the_request_makes_a_session(self) -> None:
        """Nor does an event of another kind."""
        assert fold_link(LINK, []) is None
        assert fold_link(LINK, [opened(), said()]) is None
        erased = ClientErased(observed=NOON, by="ops", connections=(), deliveries=0, claims=0)
        assert fold_link(LINK, [*OPEN, erased]) == session(*OPEN)


class TestAdmitted:
    """What may be appended after what."""

    @pytest.mark.parametrize(
        ("known", "wanted"),
        [
            ((), (asked(),)),
            ((asked(),), (opened(),)),
            ((asked(),), (failed(),)),
            (OPEN, (said(),)),
            (OPEN, (said(status="error"), failed())),
            (OPEN, (said(status="cancelled"), cancelled())),
            (OPEN, (proved(),)),
            ((*OPEN, said()), (proved(),)),
            ((*OPEN, said(), failed()), (proved(),)),
            ((*OPEN, said(), cancelled()), (proved(),)),
            ((*OPEN, proved()), (said(at=2 * MINUTE),)),
            ((*OPEN, proved(), said(connection="conn_y")), (proved(connection="conn_y"),)),
        ],
    )
    def test_what_may_follow_is_taken_whole(
        self, known: tuple[Event, ...], wanted: tuple[LinkEvent, ...]
    ) -> None:
        """And the same again is not."""
        assert admitted(LINK, known, wanted) == wanted
        assert admitted(LINK, [*known, *wanted], wanted) == ()

    @pytest.mark.parametrize(
        ("known", "wanted"),
        [
            ((), (opened(),)),
            ((), (said(),)),
            ((), (proved(),)),
            ((asked(),), (asked(),)),
            ((asked(),), (said(),)),
            ((asked(),), (proved(),)),
            ((asked(), failed()), (opened(),)),
            ((asked(), failed()), (said(),)),
            ((asked(), failed()), (proved(),)),
            ((*OPEN, said()), (said(status="cancelled"), cancelled())),
            ((*OPEN, said(), cancelled()), (said(), failed())),
            (OPEN, (said(at=HOUR),)),
            ((*OPEN, proved()), (failed(),)),
            ((*OPEN, proved()), (proved(connection="conn_y"),)),
            ((*OPEN, proved(), said(connection="conn_y")), (proved(connection="conn_z"),)),
        ],
    )
    def test_what_may_not_follow_is_not_taken(
        self, known: tuple[Event, ...], wanted: tuple[LinkEvent, ...]
    ) -> None:
        """Nor is what would follow it: a used or lapsed session takes no report."""
        assert admitted(LINK, known, wanted) == ()

    def test_a_report_that_comes_after_the_proof_changes_no_state(self) -> None:
        """It is kept, without the end that it claims."""
        late = (said(at=2 * MINUTE, status="cancelled"), cancelled(at=2 * MINUTE))
        assert admitted(LINK, [*OPEN, proved()], late) == late[:1]


class TestValidAt:
    """What was true at a time."""

    def test_before_it_was_asked_for_there_was_none(self) -> None:
        """From that millisecond on there was."""
        assert valid_at(session(*OPEN), NOON - 1) is None
        assert valid_at(session(*OPEN), NOON) is not None

    def test_a_completion_counts_from_when_the_connection_came_to_life(self) -> None:
        """Whenever we learned of it."""
        done = session(*OPEN, proved(at=MINUTE, seen=HOUR))
        before, after = valid_at(done, NOON + MINUTE - 1), valid_at(done, NOON + MINUTE)
        assert before == session(*OPEN)
        assert after == done

    @pytest.mark.parametrize(
        "word", [said(), said(status="error"), failed(), cancelled(), opened(at=MINUTE)]
    )
    def test_all_else_counts_from_when_we_saw_it(self, word: LinkEvent) -> None:
        """The state at that time is asked with the same time."""
        told = session(asked(), word)
        assert valid_at(told, NOON + MINUTE - 1) == session(asked())
        assert valid_at(told, NOON + MINUTE) == told


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (LINK, True),
        ("link_0123456789ABCDEF01234567", False),
        ("link_0123456789abcdef0123456", False),
        ("link_0123456789abcdef012345678", False),
        (f"{LINK}\n", False),
        (f" {LINK}", False),
        ("conn_0123456789abcdef01234567", False),
        ("", False),
    ],
)
def test_an_id_has_one_form(text: str, good: bool) -> None:
    """`link_` and 24 hex digits in lower case."""
    assert is_link_id(text) is good


def test_a_browsers_words_are_words() -> None:
    """Whatever else it passes on is not kept: it could be anything about anybody."""
    assert provider_word("pre-login", STEPS) == "pre-login"
    assert provider_word("session_expired", ERRORS) == "session_expired"
    assert provider_word(None, STEPS) is None
    for text in ("", "pre-login", "Session_expired", "mia", "<b>", "mail@host", "é", "a\n"):
        assert provider_word(text, ERRORS) == "other"
