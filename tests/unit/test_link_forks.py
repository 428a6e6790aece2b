"""When a connection is suspected to have come of a Link session for another one."""

from typing import Any

import pytest

from ledger.domain.link_session import LinkSession
from projections.links.forks import Party, suspected
from tests.given import MINUTE, NOON
from tests.linked import CLIENT, HOUR, asked, opened, proved, said, session

OLD, NEW = "conn_old", "conn_new"
FIRST = "link_000000000000000000000001"
SECOND = "link_000000000000000000000002"


def party(id: str = NEW, **more: Any) -> Party:
    """A connection that was born a minute after the session was asked for."""
    known: dict[str, Any] = {
        "client": CLIENT,
        "account": None,
        "status": "active",
        "born_at": NOON + MINUTE,
    }
    return Party(id, **known | more)


def old(status: str = "expired", **more: Any) -> Party:
    """The connection that the session was for."""
    return party(OLD, **{"status": status, "born_at": NOON - HOUR} | more)


FOR_OLD = session(asked(connection=OLD), opened(), id=FIRST)
FOR_NONE = session(asked(), opened(), id=SECOND)


def suspects(one: Party, *sessions: LinkSession, known: tuple[Party, ...] = (old(),)) -> bool:
    """Whether a connection is suspected."""
    found = suspected([one], sessions, {other.id: other for other in known})
    assert found <= {one.id}
    return bool(found)


def test_a_connection_that_is_born_in_a_session_for_another_is_suspected() -> None:
    """Its client has no other session at that time, and the other one is not active."""
    assert suspects(party(), FOR_OLD)
    assert suspects(party(status="deleted"), FOR_OLD)
    for status in ("awaiting_2fa", "deleted"):
        assert suspects(party(), FOR_OLD, known=(old(status),))


def test_also_when_nobody_knows_the_other_one() -> None:
    """OFAuth did not know it either, it seems."""
    assert suspects(party(), FOR_OLD, known=())


@pytest.mark.parametrize(
    ("born_at", "fits"),
    [
        (-2001, False),
        (-2000, True),
        (HOUR + 5 * MINUTE, True),
        (HOUR + 5 * MINUTE + 1, False),
    ],
)
def test_only_while_the_session_is_open(born_at: int, fits: bool) -> None:
    """By the same window as a proof."""
    assert suspects(party(born_at=NOON + born_at), FOR_OLD) is fits


def test_not_without_a_birth_or_an_opened_session() -> None:
    """What nobody said is not made up."""
    assert not suspects(party(born_at=None), FOR_OLD)
    assert not suspects(party(), session(asked(connection=OLD)))
    assert not suspects(party())


def test_not_the_one_that_the_session_was_for() -> None:
    """It may have been deleted and come again."""
    assert not suspects(party(OLD), FOR_OLD)


def test_not_when_the_other_one_is_active() -> None:
    """Then the session has done what it was for."""
    assert not suspects(party(), FOR_OLD, known=(old("active"),))


def test_not_when_it_is_known_to_be_a_fork() -> None:
    """It is no suspicion any more."""
    assert not suspects(party(forked=True), FOR_OLD)


@pytest.mark.parametrize("client", ["somebody_else", None])
def test_not_another_clients_connection(client: str | None) -> None:
    """Unless it is the same upstream account."""
    assert not suspects(party(client=client), FOR_OLD)
    same = party(client=client, account="7")
    assert suspects(same, FOR_OLD, known=(old(account="7"),))
    assert not suspects(same, FOR_OLD, known=(old(account="8"),))
    assert not suspects(party(client=client), FOR_OLD, known=(old(account=None),))


def test_a_session_of_nobodys_is_that_of_whoever_has_the_connection() -> None:
    """When that is not known, it is nobody's."""
    nobodys = session(asked(client=None, connection=OLD), opened(), id=FIRST)
    assert suspects(party(), nobodys)
    assert not suspects(party(), nobodys, known=())


def test_not_when_the_client_had_another_session_open() -> None:
    """It may have come of that; unless it is the same upstream account."""
    assert not suspects(party(), FOR_OLD, FOR_NONE)
    third = session(asked(connection="conn_third"), opened(), id=SECOND)
    assert not suspects(party(), FOR_OLD, third)
    again = session(asked(connection=OLD), opened(), id=SECOND)
    assert suspects(party(), FOR_OLD, again)
    earlier = session(asked(at=-3 * HOUR), opened(at=-3 * HOUR), id=SECOND)
    assert suspects(party(), FOR_OLD, earlier)
    others = session(asked(client="somebody_else"), opened(), id=SECOND)
    assert suspects(party(), FOR_OLD, others)
    assert suspects(party(account="7"), FOR_OLD, FOR_NONE, known=(old(account="7"),))


def test_not_when_another_session_was_completed_by_it() -> None:
    """Then it is known what it came of, whatever account it is."""
    done = session(asked(), opened(), said(connection=NEW), proved(connection=NEW), id=SECOND)
    assert not suspects(party(account="7"), FOR_OLD, done, known=(old(account="7"),))
    others = session(asked(), opened(), proved(connection="conn_third"), id=SECOND)
    assert suspects(party(account="7"), FOR_OLD, others, known=(old(account="7"),))
