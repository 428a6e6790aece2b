"""Seeded stories of one connection between webhooks and passes, and what they come to by hand.

Each story is told twice: to a ledger, which leaves out rows that tell nothing, and to a naive list
of claims, to which every row of every pass is added whole. What is true of the list is asked of the
independent model.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from ledger.application import Happened, Ledger, ListedRow, Noted, Outcome
from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.connection import fold
from ledger.domain.status import PROVIDER_STATUSES, Status
from ledger.domain.sweep_events import SweepCompleted, SweepStarted
from ledger.domain.words import connection_stream
from ledger.ofauth.rows import read_row
from ledger.recorders import codec
from tests import model
from tests.builders import Clock, iso

CONNECTION = "conn_swept"
SECOND = 1_000
MINUTE = 60 * SECOND
BORN = 1_767_000_000_000
STATUSES = tuple(sorted(PROVIDER_STATUSES))
View = dict[str, Any]


class Story:
    """One connection's life, told to a ledger and by hand."""

    def __init__(self, ledger: Ledger, clock: Clock, seed: int) -> None:
        self.ledger = ledger
        self.clock = clock
        self.random = Random(seed)
        self.told: list[Statement] = []
        self.passes = 0
        self.left_out = 0
        """Rows that the ledger did not write."""

    @property
    def now(self) -> int:
        """Milliseconds UTC."""
        return self.clock.us // 1000

    def step(self) -> None:
        """Let one thing happen."""
        self.clock.advance(self.random.choice((1, 30, 100, 300, 700)) + self.random.random())
        self.random.choices(
            (self.fresh, self.late, self.sweep, self.invalid, self.suspect), (3, 4, 6, 1, 1)
        )[0]()

    # webhooks

    def fresh(self) -> None:
        """A webhook that comes at once."""
        self.webhook(self.random.randint(0, 3 * SECOND))

    def late(self) -> None:
        """A webhook that comes up to half an hour after the fact."""
        self.webhook(self.random.randint(5 * SECOND, 30 * MINUTE))

    def webhook(self, age: int) -> None:
        """A webhook of any kind."""
        kinds = (Kind.CREATED, Kind.UPDATED, Kind.UPDATED, Kind.EXPIRED, Kind.DISCONNECTED)
        (kind,) = self.random.choices(kinds, (2, 4, 4, 3, 0.2))
        status: Status | None = self.random.choice(STATUSES)
        if kind is Kind.UPDATED and self.chance(0.3):
            status = None
        if kind in (Kind.EXPIRED, Kind.DISCONNECTED):
            status = Status.EXPIRED if kind is Kind.EXPIRED else Status.DELETED
        bare = kind in (Kind.EXPIRED, Kind.DISCONNECTED)
        self.say(kind, self.now - age, status, {} if bare else self.fields(), bare=bare)

    def suspect(self) -> None:
        """A note that a row can answer."""
        kind = self.random.choice((Kind.EXPIRY_SUSPECTED, Kind.NOT_FOUND, Kind.MISSING))
        fields = {"missingSince": self.now, "lastListedAt": self.now}
        self.say(kind, self.now, None, fields if kind is Kind.MISSING else {}, bare=True)

    def say(self, kind: Kind, k: int, status: Status | None, fields: View, *, bare: bool) -> None:
        """Tell a claim to both."""
        claim = Claim(
            connection_id=CONNECTION,
            kind=kind,
            k=k,
            status=status,
            fields=fields,
            personal={} if bare else {"userData": self.user_data()},
        ).identified()
        evidence = Evidence(f"told:{len(self.told)}", "documented", self.now)
        self.ledger.record([Noted(claim, evidence)])
        self.told.append(Statement(claim, evidence))

    def fields(self) -> View:
        """What a webhook says of fields."""
        fields = {
            "clientReferenceId": self.random.choice(("user_1", "user_2")),
            "permissions": self.random.choice(([], ["profile:read"], ["messages:read"])),
        }
        return {name: value for name, value in fields.items() if self.chance(0.5)}

    def user_data(self) -> View:
        """What it says of the creator."""
        data = {"id": "u1", "name": self.random.choice(("Ann", "Bea")), "avatar": None}
        return {name: value for name, value in data.items() if self.chance(0.5)}

    # passes

    def sweep(self) -> None:
        """A valid pass: the connection is listed as it is known, or otherwise, or not at all."""
        heard, live = len(self.told), self.begin()
        self.perhaps_fresh()
        self.clock.advance(1)
        answered = self.now - self.random.choice((0, 0, 700))
        listed = self.can_be_listed(answered) and self.chance(0.75)
        if listed:
            self.list_row(self.row(answered, same=self.chance(0.75)), answered)
        self.perhaps_fresh()
        unlisted = (CONNECTION,) if live and not listed else ()
        if len(self.told) > heard:
            self.complete(answered, unseen=unlisted)
        else:
            self.complete(answered, absent=unlisted)

    def invalid(self) -> None:
        """A pass from which nothing may be inferred; what its row says is new."""
        self.begin()
        answered = self.now
        if self.can_be_listed(answered):
            row = self.row(answered, same=False)
            self.list_row(row | {"permissions": [f"only in {self.passes}"]}, answered)
        self.complete(answered, valid=False)

    def begin(self) -> bool:
        """Write down the beginning of a pass, and tell whether the connection lives by then."""
        self.passes += 1
        started = SweepStarted(observed=self.now, organisation="org_1", backfill=False)
        self.ledger.record([Happened(self.stream, started)])
        return bool(self.told) and self.truth()["status"] != "deleted"

    def perhaps_fresh(self) -> None:
        """Let a webhook come while a pass runs."""
        if self.chance(0.15):
            self.fresh()
            self.clock.advance(1)

    @property
    def stream(self) -> str:
        """That of the present pass."""
        return f"sweep:{self.passes:016x}"

    def complete(self, answered: int, **found: Any) -> None:
        """Write down the end of a pass."""
        completed = SweepCompleted(
            **{"observed": self.now, "answered_from": answered, "answered_to": answered}
            | {"requests": 1, "rows": 1, "connections": 1, "live": 1, "valid": True}
            | found
        )
        self.ledger.record([Happened(self.stream, completed)])

    def can_be_listed(self, answered: int) -> bool:
        """Whether the provider may list it: a deleted one only to show that it was not deleted."""
        claims = model.in_order(self.told)
        if not claims or model.status(claims) != "deleted":
            return True
        gone = claims[model.deletion(claims)].k
        return answered > gone + 11 * MINUTE and self.chance(0.3)

    def row(self, answered: int, *, same: bool) -> View:
        """A row as the connection is known, or one that changed some seconds ago."""
        known = self.truth() if self.told else {"status": None, "fields": {}, "userData": {}}
        fields, user = known["fields"], known["userData"]
        status = fields.get("providerStatus") if self.says_unknown() else known["status"]
        if known["status"] == "deleted":
            status = self.random.choice(STATUSES)
        elif status is None or not same:
            status = self.random.choice((*STATUSES, "paused"))
        updated = fields.get("updatedAt") if same else None
        if updated is None or updated > answered:
            updated = answered - self.random.randint(0, 200) * SECOND
        permissions = fields.get("permissions", [])
        return {
            "id": CONNECTION,
            "status": status,
            "clientReferenceId": fields.get("clientReferenceId", "user_1"),
            "permissions": permissions if same else self.random.choice(([], ["profile:read"])),
            "userData": {"id": user.get("id", "u1"), "name": user.get("name", "Ann"),
                         "avatar": user.get("avatar")},
            "createdAt": iso(BORN),
            "updatedAt": iso(updated),
            "expiredAt": None,
            "imported": False,
            "lastCheckedAt": iso(answered),
        }  # fmt: skip

    def says_unknown(self) -> bool:
        """Whether the last row had a status that is none of the provider's three."""
        rows = [c for c in model.in_order(self.told) if c.kind is Kind.ROW]
        return bool(rows) and rows[-1].status is None

    def list_row(self, row: View, answered: int) -> None:
        """Tell a row to both; by hand it is always written."""
        evidence = Evidence(self.stream, "sweep", self.now)
        first = not any(statement.claim.kind.is_row for statement in self.told)
        claims = read_row(row, answered=answered, first_seen=first)
        listed = ListedRow(row=row, answered=answered, observed=self.now, evidence=self.stream)
        (result,) = self.ledger.record([listed])
        self.left_out += result.outcome is Outcome.UNCHANGED
        self.told += [Statement(claim, evidence) for claim in claims]

    # what it comes to

    def truth(self) -> View:
        """What is true by the naive list, by the independent model."""
        claims = model.in_order(self.told)
        return {
            "status": model.status(claims),
            "fields": model.fields(claims),
            "userData": model.user_data(claims),
        }

    def view(self) -> View:
        """What the ledger says is true."""
        connection = fold(CONNECTION, self.statements())
        assert connection is not None
        return {
            "status": connection.status,
            "fields": connection.fields,
            "userData": connection.user_data or {},
        }

    def statements(self) -> Sequence[Statement]:
        """What the ledger holds of it."""
        rows = self.ledger.log.read_streams([connection_stream(CONNECTION)])
        return [s for row in rows if (s := codec.statement_of(row)) is not None]

    def agrees(self) -> bool:
        """Whether both say the same; when a pass last looked at it is left out."""
        return not self.told or compared(self.view()) == compared(self.truth())

    def chance(self, share: float) -> bool:
        """Decide."""
        return self.random.random() < share


def compared(view: View) -> View:
    """Leave out what changes with every pass."""
    fields = {name: value for name, value in view["fields"].items() if name != "lastCheckedAt"}
    return {**view, "fields": fields}
