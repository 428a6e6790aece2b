"""The story: a day of three creators. Each step is checked against what the service answers."""

import json
from typing import Any, Final

from api.demo.stage import Stage
from api.demo.teller import Teller
from api.times import format_millis
from ledger.domain.errors import LedgerError
from ledger.ofauth.signatures import Secret

_MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * _MINUTE_MS


class NotTrue(LedgerError):
    """A step of the story did not come true."""

    def __init__(self, what: str, expected: object, got: object) -> None:
        super().__init__(
            f"The demo did not come true at {what}: expected {expected}, got {got}. "
            "Run it again; if it stays so, this program has a fault: please report it."
        )


class Story:
    """A day at OFAuth, told while it is delivered."""

    def __init__(self, stage: Stage, tell: Teller, *, midnight: int, stranger: Secret) -> None:
        """Prepare the day that begins at `midnight` (milliseconds, UTC).

        `stranger` is a secret that is not OFAuth's.
        """
        self._stage = stage
        self._tell = tell
        self._midnight = midnight
        self._stranger = stranger
        self._connections: dict[str, str] = {}

    def run(self) -> None:
        """Tell everything.

        Raises:
            NotTrue: the service answered otherwise than it should.
            StageError: it did not answer at all.
        """
        self._connect()
        self._reconnect()
        self._arrive_late()
        self._ask_two_clocks()
        self._distrust()
        self._leave()
        self._agree()

    def at(self, clock: str) -> str:
        """Give a time of the story's day, such as "09:30", as RFC 3339."""
        hours, minutes = map(int, clock.split(":"))
        return format_millis(self._midnight + (hours * 60 + minutes) * _MINUTE_MS)

    def _connect(self) -> None:
        self._tell.step("Three creators connect")
        self._create("mia", "09:00", "active", "Mia logs in.")
        self._stage.sign_like("svix")
        self._create("noah", "09:10", "awaiting_2fa", "Noah logs in and is asked for his 2FA code.")
        self._act("noah", "activate", "09:12", "Noah enters it.")
        self._create("lena", "09:30", "awaiting_2fa", "Lena logs in and is asked for hers.")
        self._stage.settle()
        self._status(
            mia=("active", "09:00"), noah=("active", "09:12"), lena=("awaiting_2fa", "09:30")
        )
        self._tell.note(
            "Mia's webhook was signed in OFAuth's documented way, the others in Svix's."
        )

    def _reconnect(self) -> None:
        self._tell.step("A session expires, and a webhook comes twice")
        self._stage.sign_like("documented")
        self._act("mia", "expire", "11:00", "Mia's session expires.")
        before = self._stage.settle()
        self._stage.faults(duplicate=1)
        self._act(
            "mia", "reconnect", "11:20", "Mia logs in again. OFAuth sends this webhook twice."
        )
        delivered = self._stage.settle() - before
        self._stage.faults()
        self._check("the webhook that is sent twice", 2, delivered)
        self._status(mia=("active", "11:20"))
        self._history("mia", ["created", "expired", "reconnected"])

    def _arrive_late(self) -> None:
        self._tell.step("A webhook comes late, after a newer one")
        self._act(
            "noah",
            "expire",
            "13:00",
            "Noah's session expires, but this webhook gets stuck.",
            hold=True,
        )
        self._act(
            "noah",
            "reconnect",
            "14:00",
            "Noah logs in again and grants one permission more. This webhook arrives.",
            permissions=["profile:read", "messages:read", "messages:write"],
        )
        self._stage.settle(keep_held=True)
        self._status(noah=("active", "09:12"))
        self._stage.settle()
        self._tell.note("Nobody has told the service of 13:00 yet. Now that webhook comes through.")
        self._status(noah=("active", "14:00"))
        self._history("noah", ["created", "activated", "expired", "reconnected"])

    def _ask_two_clocks(self) -> None:
        self._tell.step("Was Noah connected at 13:30?")
        *_, late, back = self._stage.history("noah")
        self._check("the mark of what came late", (True, False), (late["late"], back["late"]))
        self._check("what 14:00 was taken for", "connection.updated", back["recordedAs"])
        moment, known = self.at("13:30"), back["recordedAt"]
        then = self._stage.client("noah", validAt=moment, asOf=known)["status"]
        now = self._stage.client("noah", validAt=moment)["status"]
        self._check("what was true, by both clocks", ("active", "expired"), (then, now))
        self._tell.answers(
            [
                ("asked before that late webhook", then, f"?validAt=…13:30&asOf=…{known[11:19]}"),
                ("asked now", now, "?validAt=…13:30"),
            ]
        )
        self._tell.note("Both answers stay: what was true, and what you could know when you acted.")

    def _distrust(self) -> None:
        self._tell.step("A webhook that cannot be read, and one that is forged")
        torn = b'{"type":"connection.updated","timestamp":"' + self.at("15:00").encode()
        forged = {
            "type": "connection.disconnected",
            "timestamp": self.at("16:00"),
            "data": {"connection": {"id": self._connections["mia"], "status": "active"}},
        }
        self._tell.happened(
            "15:00", "A webhook with OFAuth's signature breaks off in mid-sentence."
        )
        read = self._stage.deliver(torn)
        parked = [one["reason"] for one in self._stage.parked()]
        self._tell.answers([(str(read), f"kept as it came, and parked: {', '.join(parked)}")])
        self._check("the torn webhook", (204, ["not_json"]), (read, parked))
        self._tell.happened("16:00", "A stranger claims that Mia has left.")
        refused = self._stage.deliver(json.dumps(forged).encode(), secret=self._stranger)
        self._tell.answers([(str(refused), "refused: no secret of ours made this signature")])
        self._check("the forged webhook", 401, refused)
        self._status(mia=("active", "11:20"))

    def _leave(self) -> None:
        self._tell.step("A creator leaves")
        self._act("mia", "disconnect", "17:00", "Mia's connection is deleted at OFAuth.")
        self._stage.settle()
        self._status(mia=("deleted", "17:00"))
        self._history("mia", ["created", "expired", "reconnected", "deleted"])

    def _agree(self) -> None:
        truth = self._stage.truth() | {self._connections["mia"]: "deleted"}
        self._check("the comparison with OFAuth's list", truth, self._stage.statuses())
        self._tell.paragraph("\n✓  The ledger and OFAuth's own list agree.", style="bold green")

    def _create(self, who: str, clock: str, status: str, told: str) -> None:
        self._tell.happened(clock, told)
        self._connections[who] = self._stage.create(
            clientReferenceId=who,
            status=status,
            userData={"name": who.title(), "username": who},
            at=self.at(clock),
        )

    def _act(self, who: str, action: str, clock: str, told: str, **how: Any) -> None:
        self._tell.happened(clock, told)
        self._stage.act(self._connections[who], action, at=self.at(clock), **how)

    def _status(self, **expected: tuple[str, str]) -> None:
        """Show what the service says of creators, and check it: status, and since when."""
        found = {}
        for who in expected:
            answer = self._stage.client(who)
            found[who] = (answer["status"], answer["connections"][0]["statusSince"][11:16])
        self._tell.answers([(who, one[0], f"since {one[1]}") for who, one in found.items()])
        self._check("the state", expected, found)

    def _history(self, who: str, expected: list[str]) -> None:
        """Show a creator's timeline, and check its types."""
        entries = self._stage.history(who)
        self._tell.answers([_entry(one) for one in entries], label=f"history of {who}")
        types = [one["type"].removeprefix("connection.") for one in entries]
        self._check("the history", expected, types)

    def _check(self, what: str, expected: object, got: object) -> None:
        if got != expected:
            raise NotTrue(what, expected, got)


def _entry(entry: dict[str, Any]) -> tuple[str, str, str]:
    remark = "came late" if entry["late"] else ""
    if entry["recordedAs"]:
        remark = f"was taken for “{entry['recordedAs'].removeprefix('connection.')}” when it came"
    return (entry["occurredAt"][11:16], entry["type"].removeprefix("connection."), remark)
