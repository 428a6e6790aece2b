"""Whatever a browser or a caller makes up: nothing is appended, no row changes, nobody is led away.

Each kind of bad return, and of bad report, is tried 2,000 times in another shape.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from api.link_state import COOKIE, make_state
from ledger.application import LinkStep
from ledger.domain.link_events import LinkEvent
from tests.builders import webhook
from tests.given import NOON
from tests.linked import HOUR, asked, opened, said, shifted
from tests.linking import HOME, OTHER_HOME, PUBLIC, Linking
from tests.serving import ADMIN, READ, WRITE

TIMES: Final = 2_000
EVIL: Final = "https://evil.example/"
CLIENT, OTHER = "mia", "noah"
Attempts = Callable[[], Iterator[TestResponse]]
FOREIGN: Final = "conn_foreign"
"""A connection that is known to be another client's."""


@pytest.fixture
def linking(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Linking]:
    """A service whose provider is never asked: nor for its list, which would be written down."""
    monkeypatch.setattr("api.sweeping.Sweeping.start", lambda _: None)
    with Linking(database_url, tmp_path, "http://127.0.0.1:9") as made:
        assert made.deliver(webhook(connection=FOREIGN, ref=OTHER)).status_code == 204
        yield made


class Sessions:
    """Sessions in every condition, put into the log as if they had happened."""

    def __init__(self, linking: Linking) -> None:
        self._ledger = linking.ledger
        self._number = 0
        self._now = linking.service.services.now() // 1000

    def make(self, *events: LinkEvent, home: str | None = HOME, ago: int = 0) -> str:
        """Put a session into the log that was opened so many milliseconds ago; gives its id."""
        self._number += 1
        link = f"link_{self._number:024x}"
        for event in (asked(client=CLIENT, return_url=home), opened(), *events):
            moved = shifted(event, self._now - ago - NOON)
            self._ledger.record([LinkStep(link=link, events=(moved,))])
        return link

    def lapsed(self) -> str:
        """A session whose time is over."""
        return self.make(ago=2 * HOUR)


def words(random: Random) -> dict[str, str]:
    """What a browser may bring along, good and bad, with places to be sent to."""
    brought = {
        "status": random.choice(["success", "cancelled", "error", "SUCCESS", "", "pending"]),
        "connection_id": random.choice(["conn_1", FOREIGN, "", "x" * 999, "conn_\0", EVIL]),
        "client_reference_id": CLIENT,
        "step": random.choice(["2fa", "<script>", "login"]),
        "error_code": random.choice(["session_expired", "\r\nLocation: " + EVIL]),
    }
    for name in ("redirect", "redirectUrl", "returnUrl", "return_url", "next", "url", "linkId"):
        if random.random() < 0.4:
            brought[name] = random.choice(
                [EVIL, "//evil.example", "javascript:alert(1)", OTHER_HOME]
            )
    return {name: value for name, value in brought.items() if random.random() < 0.8}


def unchanged(linking: Linking, attempts: Attempts) -> list[TestResponse]:
    """Make attempts, and see that the log and every row of the views are as they were."""
    views = linking.views()
    head = linking.service.services.log.head()
    answers = list(attempts())
    assert linking.service.services.log.head() == head
    assert linking.views() == views
    assert len(answers) == TIMES
    return answers


def sent(answers: list[TestResponse]) -> set[str | None]:
    """Where browsers were sent: addresses without what was added to them."""
    places = {answer.headers.get("Location") for answer in answers}
    return {place and place.partition("&status=")[0] for place in places}


def forged(random: Random, link: str, other: str, key: bytes) -> str | None:
    """A state that this service did not make for this session."""
    good, mac = make_state(link, key), make_state(link, key).partition(".")[2]
    at = random.randrange(len(good))
    wrong = random.choice([c for c in "0123456789abcdefABCDEF.~é" if c != good[at]])
    return random.choice(
        [
            None,
            "",
            link,
            f"{link}.",
            f"{link}.{mac[:-1]}",
            f"{link}.{mac}0",
            f"{link}.{mac.upper()}" if mac.upper() != mac else "",
            f"{other}.{mac}",
            good[:at] + wrong + good[at + 1 :],
            make_state(link, random.randbytes(32)),
            f"{link}.{hmac.new(b'', link.encode(), hashlib.sha256).hexdigest()}",
            f"{link}.{hashlib.sha256(link.encode()).hexdigest()}",
            good[::-1],
        ]
    )


class TestReturns:
    """What comes back to `/link/return`."""

    def test_without_the_state(self, linking: Linking) -> None:
        """None, a torn one, another store's, another session's code."""
        sessions = Sessions(linking)
        link, other = sessions.make(), sessions.make()
        random, key = Random(1), linking.service.services.log.key

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                state = forged(random, link, other, key)
                headers = {} if state is None else {"Cookie": f"{COOKIE}={state}"}
                query = urlencode(words(random))
                yield linking.browser.get(f"/link/return?{query}", headers=headers)

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {403}
        assert sent(answers) == {None}

    def test_of_another_link(self, linking: Linking) -> None:
        """The browser's state is good, and OFAuth speaks of another client's session."""
        link = Sessions(linking).make()
        random, state = Random(2), make_state(link, linking.service.services.log.key)

        def attempts() -> Iterator[TestResponse]:
            for number in range(TIMES):
                told = words(random)
                told["client_reference_id"] = random.choice(
                    [OTHER, f"{CLIENT} ", "MIA", f"m{number}"]
                )
                yield linking.come_back(state, **told)

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {403}
        assert sent(answers) == {None}

    def test_of_a_used_state(self, linking: Linking) -> None:
        """The answer is that of the first visit, whatever is said now."""
        sessions, key = Sessions(linking), linking.service.services.log.key
        statuses = ("success", "cancelled", "error")
        used = {status: sessions.make(said(status=status)) for status in statuses}
        random = Random(3)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                link = used[random.choice(statuses)]
                yield linking.come_back(make_state(link, key), **words(random))

        answers = unchanged(linking, attempts)
        assert {answer.headers["Location"] for answer in answers} == {
            f"https://app.example/done?tab=1&status={status}&linkId={link}#top"
            for status, link in used.items()
        }

    def test_of_a_lapsed_session(self, linking: Linking) -> None:
        """The browser learns so."""
        link = Sessions(linking).lapsed()
        random, state = Random(4), make_state(link, linking.service.services.log.key)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                yield linking.come_back(state, **words(random))

        answers = unchanged(linking, attempts)
        assert {answer.headers["Location"] for answer in answers} == {
            f"https://app.example/done?tab=1&status=lapsed&linkId={link}#top"
        }

    def test_to_a_foreign_place(self, linking: Linking) -> None:
        """A session whose return URL is none of the settings' (any more)."""
        sessions = Sessions(linking)
        key = linking.service.services.log.key
        places = [EVIL, f"{HOME}/", HOME.upper(), HOME.replace("https", "http"), f"{HOME}x",
                  HOME.partition("#")[0], "//app.example/done", "https://app.example@evil.example/",
                  "javascript:alert(1)", "/link/return", ""]  # fmt: skip
        states = [make_state(sessions.make(home=place), key) for place in places]
        random = Random(5)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                yield linking.come_back(random.choice(states), **words(random))

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {410}
        assert sent(answers) == {None}

    def test_with_a_foreign_connection(self, linking: Linking) -> None:
        """A connection that is known to be another client's is not taken for this one's."""
        link = Sessions(linking).make()
        random, state = Random(6), make_state(link, linking.service.services.log.key)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                told = words(random) | {"status": "success", "connection_id": FOREIGN}
                yield linking.come_back(state, **told)

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {409}
        assert sent(answers) == {None}

    def test_a_good_one_appends_one_report_and_sends_to_the_settings_place(
        self, linking: Linking
    ) -> None:
        """So that the tests above would see it."""
        sessions, key = Sessions(linking), linking.service.services.log.key
        random = Random(7)
        for home in (HOME, OTHER_HOME):
            link = sessions.make(home=home)
            before = len(linking.rows())
            told = words(random) | {"status": "success", "connection_id": "conn_1"}
            answer = linking.come_back(make_state(link, key), **told)
            assert (answer.headers["Location"] or "").startswith(home.partition("#")[0])
            assert [row.topic for row in linking.rows()[before:]] == ["link.reported"]


BODIES: Final[list[Any]] = [
    {"connection": {"id": "conn_1", "userData": {"name": "x"}}, "redirect": EVIL},
    {"type": "user_exit", "step": "login", "error": None},
    {"type": "error", "step": "2fa", "error": {"error_type": "x", "error_message": "y"}},
    {"type": "forced_exit"},
]


class TestReports:
    """What comes to `/api/links/{id}/reports`."""

    def test_without_a_token_that_may_write(self, linking: Linking) -> None:
        """The state of a report is its token."""
        link = Sessions(linking).make()
        random = Random(11)
        tokens = [None, "", READ, WRITE[:-1], f"{WRITE}x", WRITE.upper()]

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                token = random.choice(tokens)
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                path, body = f"/api/links/{link}/reports", random.choice(BODIES)
                yield linking.browser.post(path, json=body, headers=headers)

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {401, 403}

    def test_of_another_link(self, linking: Linking) -> None:
        """One that was never asked for, or that the provider has not opened."""
        link = Sessions(linking).make()
        bare = LinkStep(link=f"link_{'f' * 24}", events=(asked(),))
        linking.ledger.record([bare])
        random = Random(12)

        def attempts() -> Iterator[TestResponse]:
            for number in range(TIMES):
                ids = [f"link_{number:023x}f", link.upper(), f"{link}0", link[:-1], bare.link, "x"]
                path = f"/api/links/{random.choice(ids)}/reports"
                yield linking.post(path, random.choice(BODIES))

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {404, 410}

    def test_of_a_used_session(self, linking: Linking) -> None:
        """The answer is what was reported first."""
        link = Sessions(linking).make(said(status="cancelled"))
        random = Random(13)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                yield linking.post(f"/api/links/{link}/reports", random.choice(BODIES))

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {202}
        assert {answer.json["report"]["status"] for answer in answers} == {"cancelled"}

    def test_of_a_lapsed_session(self, linking: Linking) -> None:
        """It takes nothing any more."""
        link = Sessions(linking).lapsed()
        random = Random(14)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                yield linking.post(f"/api/links/{link}/reports", random.choice(BODIES))

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {410}

    def test_of_a_foreign_connection(self, linking: Linking) -> None:
        """One that is known to be another client's; and what is no connection at all."""
        link = Sessions(linking).make()
        random = Random(15)

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                connection = random.choice([FOREIGN, "x", "conn_ 1", "conn_" + "x" * 999])
                yield linking.post(f"/api/links/{link}/reports", {"connection": {"id": connection}})

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {409, 422}

    def test_a_request_to_be_sent_to_a_foreign_place(self, linking: Linking) -> None:
        """Only what the settings name, character by character, may be asked for."""
        random = Random(16)
        places = [EVIL, f"{HOME}/", HOME.upper(), HOME.replace("https", "http"), f"{HOME} ",
                  HOME.partition("#")[0], f"{PUBLIC}/link/return", f"{HOME},{OTHER_HOME}",
                  "javascript:alert(1)", "https://app.example", f"{OTHER_HOME}?x"]  # fmt: skip

        def attempts() -> Iterator[TestResponse]:
            for _ in range(TIMES):
                wish = {"clientReferenceId": CLIENT, "returnUrl": random.choice(places)}
                yield linking.post("/api/links", wish, ADMIN)

        answers = unchanged(linking, attempts)
        assert {answer.status_code for answer in answers} == {422}

    def test_a_good_one_appends_one_report(self, linking: Linking) -> None:
        """So that the tests above would see it."""
        sessions = Sessions(linking)
        for body in BODIES:
            link = sessions.make()
            before = len(linking.rows())
            assert linking.post(f"/api/links/{link}/reports", body, WRITE).status_code == 202
            assert [row.topic for row in linking.rows()[before:]][:1] == ["link.reported"]
