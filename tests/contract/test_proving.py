"""Finding what proves Link sessions, in the log and its views, whatever database holds them."""

from collections.abc import Iterator

import pytest

from api.following import AT_ONCE, Following
from ledger.application import LinkStep, Noted, Recorded
from ledger.domain.claim import Claim
from ledger.domain.errors import LedgerBusy
from ledger.links import Links
from projections.links.proving import Proving
from tests.builders import counting_entropy
from tests.contract.test_links import OTHER_LINK, Linked
from tests.given import MINUTE, NOON, active, as_statement, created, expired, updated
from tests.linked import CLIENT, HOUR, LINK, asked, opened, said
from tests.projected import about


class Followed(Linked):
    """A log that somebody follows."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.busy = 0
        links = Links(self.write, now=self.clock, entropy=counting_entropy())
        self.links = links
        self.proving = Proving(self.log, self.store)
        self.following = self.follow()

    def follow(self) -> Following:
        """Begin to follow, as a service does that has just started."""
        return Following(self.log, self.runner, self.proving, self.links)

    def write(self, step: LinkStep | Noted) -> Recorded:
        """Record what is found, unless the store is busy."""
        if self.busy:
            self.busy -= 1
            raise LedgerBusy("Not now.")
        return self.ledger.record([step])[0]

    def say(self, *claims: Claim, connection: str = "conn_1") -> None:
        """Let something be told of a connection."""
        self.tell(*(about(connection, as_statement(claim)) for claim in claims))

    def completed(self) -> dict[str, str]:
        """Look once; gives every session that is completed by now, with its connection."""
        self.catch_up()
        self.following.step()
        self.catch_up()
        found = {}
        for name in (CLIENT, "user_2"):
            client = self.client(0, name)
            for one in () if client is None else client.link_sessions:
                if one.completed_connection_id is not None:
                    found[one.link_id] = one.completed_connection_id
        return found

    def open_session(self, link: str = LINK, **more: object) -> None:
        """A session that the provider has opened."""
        self.link(asked(**more), link=link)  # type: ignore[arg-type]
        self.link(opened(), link=link)


@pytest.fixture
def log(database_url: str) -> Iterator[Followed]:
    """A followed log on either database."""
    log = Followed(database_url)
    yield log
    log.close()


def topics(log: Followed) -> list[str]:
    """The types of the whole log."""
    return [row.topic for row in log.log.read_log(0, 1_000)]


def test_a_session_is_completed_by_whatever_comes_last(log: Followed) -> None:
    """The connection after the session, or a report after both."""
    log.open_session()
    assert log.completed() == {}
    log.say(created(at=MINUTE, client=CLIENT))
    assert log.completed() == {LINK: "conn_1"}
    log.open_session(OTHER_LINK, client="user_2")
    log.say(created(at=MINUTE, client="user_2"), connection="conn_2")
    log.say(created(at=MINUTE, client="user_2"), connection="conn_3")
    assert OTHER_LINK not in log.completed()
    log.link(said(connection="conn_3"), link=OTHER_LINK)
    assert log.completed()[OTHER_LINK] == "conn_3"


def test_a_late_webhook_completes_a_session_that_has_lapsed(log: Followed) -> None:
    """What counts is when the connection came to life, not when we learned of it."""
    log.open_session()
    log.clock.advance(3 * 86_400)
    log.say(created(at=MINUTE, client=CLIENT))
    assert log.completed() == {LINK: "conn_1"}


def test_a_reference_that_is_learned_late_completes_it(log: Followed) -> None:
    """Until then it is nobody's connection."""
    log.open_session()
    log.say(created(at=MINUTE))
    assert log.completed() == {}
    log.say(updated(at=2 * MINUTE, client=CLIENT))
    assert log.completed() == {LINK: "conn_1"}


def test_a_session_for_a_connection_of_nobodys_is_completed(log: Followed) -> None:
    """There is no client by whom it could be found."""
    log.say(created(at=-HOUR), expired(at=-MINUTE))
    log.open_session(client=None, connection="conn_1")
    assert log.completed() == {}
    log.say(active(at=MINUTE))
    log.catch_up()
    assert log.following.step() == 1
    assert topics(log)[-1] == "link.completed"


def test_what_others_do_completes_nothing(log: Followed) -> None:
    """Another client's connection, and what happened before."""
    log.say(created(at=-HOUR, client=CLIENT))
    log.open_session()
    log.say(created(at=MINUTE, client="user_2"), connection="conn_2")
    assert log.completed() == {}


def test_it_is_written_once_whoever_follows(log: Followed) -> None:
    """Two followers, one that starts again, and one that has not seen yet that it is done."""
    second = log.follow()
    log.open_session()
    log.say(created(at=MINUTE, client=CLIENT))
    log.catch_up()
    assert (log.following.step(), second.step(), log.follow().step()) == (1, 1, 1)
    assert topics(log).count("link.completed") == 1
    log.catch_up()
    assert (log.following.step(), second.step(), log.follow().step()) == (0, 0, 0)


def test_what_came_while_nobody_followed_is_found_at_the_start(log: Followed) -> None:
    """However long ago."""
    log.open_session()
    log.say(created(at=MINUTE, client=CLIENT))
    log.catch_up()
    assert log.follow().step() == 1
    log.catch_up()
    assert log.follow().step() == 0


def test_a_store_that_is_busy_is_asked_again(log: Followed) -> None:
    """Nothing is passed over: what could not be written is found again."""
    log.completed()
    log.open_session()
    log.say(created(at=MINUTE, client=CLIENT))
    log.catch_up()
    log.busy = 1
    with pytest.raises(LedgerBusy):
        log.following.step()
    assert log.completed() == {LINK: "conn_1"}


def test_a_fork_that_was_reported_is_noted_in_both_connections(log: Followed) -> None:
    """Once, also when the last step has to be repeated."""
    log.say(created(at=-HOUR, client=CLIENT), expired(at=-MINUTE))
    log.open_session(connection="conn_1")
    log.link(said(connection="conn_2"))
    log.completed()
    log.say(created(at=MINUTE, client=CLIENT), connection="conn_2")
    log.catch_up()
    log.busy = 1
    with pytest.raises(LedgerBusy):
        log.following.step()
    assert log.completed() == {LINK: "conn_2"}
    assert topics(log).count("connection.forked") == 2
    client = log.client(HOUR)
    assert client is not None
    links = {one.id: (one.predecessor_id, one.successor_id) for one in client.connections}
    assert links == {"conn_1": (None, "conn_2"), "conn_2": ("conn_1", None)}


def test_a_fork_of_a_connection_that_nobody_heard_of_does_not_make_it_known(log: Followed) -> None:
    """The new one says where it came from."""
    log.open_session(connection="conn_1")
    log.link(said(connection="conn_2"))
    log.say(created(at=MINUTE, client=CLIENT), connection="conn_2")
    assert log.completed() == {LINK: "conn_2"}
    client = log.client(HOUR)
    assert client is not None
    assert [(one.id, one.predecessor_id) for one in client.connections] == [("conn_2", "conn_1")]
    assert log.questions.connection("conn_1", now_ms=NOON) is None


def test_a_long_log_is_read_on_from_where_it_was_left(
    log: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Portion by portion, and nothing is left out between two of them."""
    assert AT_ONCE > 3
    monkeypatch.setattr("api.following.AT_ONCE", 3)
    log.completed()
    for number in range(5):
        log.open_session(f"link_{number:024x}", client=f"client_{number}")
        log.say(created(at=MINUTE, client=f"client_{number}"), connection=f"conn_{number}")
    log.catch_up()
    steps = 0
    while topics(log).count("link.completed") < 5:
        log.following.step()
        log.catch_up()
        steps += 1
        assert steps < 20
    assert steps > 3
