"""Seeded histories of one connection, as tangled as the provider can make them.

Webhooks of the three shapes (one without a time of its own, so that a retry may re-stamp it), list
rows seen for the first time or again, our own commands, what passes and Link sessions conclude, and
the same claim told twice. Times are drawn from a few close instants, so that ties and deletions
before creations are common.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.status import PROVIDER_STATUSES, Status

CONNECTION = "conn_tangled"
BASE = 1_700_000_000_000
MINUTE = 60_000
INSTANTS = (0, 0, 1, 999, 1_000, 1_000, 1_001, 2_000, 5_000, MINUTE, 3 * MINUTE, 20 * MINUTE)
STATUSES = tuple(sorted(PROVIDER_STATUSES))
REFERENCES = (None, "user_1", "user_1", "user_1", "user_2")


def history(seed: int) -> list[Statement]:
    """Give the statements of one connection, 2 to 7 of them; equal seeds give equal ones."""
    return _Teller(Random(seed)).tell()


class _Teller:
    """Makes up one history from one source of randomness."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.told: list[Statement] = []
        self.streams = 0

    def tell(self) -> list[Statement]:
        size = self.random.randint(2, 7)
        tellers: list[Callable[[], Iterator[Statement]]] = [
            self.documented,
            self.documented,
            self.sdk,
            self.older,
            self.row,
            self.first_row,
            self.ending,
            self.ending_and_row,
            self.again,
            self.command,
            self.absence,
            self.suspicion,
            self.fork,
        ]
        while len(self.told) < size:
            self.told.extend(self.random.choice(tellers)())
        return self.told[:size]

    def documented(self) -> Iterator[Statement]:
        """A webhook that carries its own time, often in whole seconds."""
        k = self.instant()
        yield self.delivered(self.webhook(k if self.chance(0.5) else k // 1_000 * 1_000))

    def sdk(self) -> Iterator[Statement]:
        """A webhook dated by its signature, perhaps delivered again with later stamps."""
        claim = replace(self.webhook(self.instant() // 1_000 * 1_000), stamped=True)
        if self.chance(0.2):
            claim = replace(claim, flags=(*claim.flags, "test"))
        first = self.delivered(claim)
        yield first
        for later in (5_000, 60 * MINUTE):
            if self.chance(0.4):
                retry = replace(claim, k=claim.k + later).identified()
                yield Statement(retry, replace(first.evidence, observed=retry.k))

    def older(self) -> Iterator[Statement]:
        """A webhook of the old form: a status and hardly anything else."""
        yield self.delivered(
            self.claim(Kind.UPDATED, self.instant(), status=self.random.choice(STATUSES))
        )

    def row(self) -> Iterator[Statement]:
        """A list row of a connection that was seen before."""
        updated = self.instant()
        yield self.swept(
            self.row_claim(updated, updated + self.random.choice((0, 1, 2, 15)) * MINUTE)
        )

    def first_row(self) -> Iterator[Statement]:
        """A list row seen for the first time: what it says of the past comes with it."""
        updated = self.instant()
        answered = updated + self.random.choice((0, 1, 15)) * MINUTE
        row = self.row_claim(updated, answered)
        yield self.swept(row)
        yield self.swept(self.claim(Kind.BIRTH, BASE + self.random.choice((-MINUTE, 0, 1_000))))
        yield self.swept(self.dated(row, Kind.ROW_UPDATED, updated, row.status))
        if row.status is Status.EXPIRED:
            yield self.swept(self.dated(row, Kind.ROW_EXPIRED, updated - 1_000, row.status))

    def ending(self) -> Iterator[Statement]:
        """The provider says that it is gone, or confirms our own command."""
        kind = self.random.choice((Kind.DISCONNECTED, Kind.DISCONNECTED, Kind.DELETE_CONFIRMED))
        yield self.delivered(self.claim(kind, self.instant(), status=Status.DELETED))

    def command(self) -> Iterator[Statement]:
        """A request of our own, and perhaps what the provider answered, in its whole seconds."""
        kind = self.random.choice((Kind.DELETE_REQUESTED, Kind.INVALIDATE_REQUESTED))
        asked, named = self.instant(), f"command:{len(self.told)}"
        closable = {"command": named} if self.chance(0.4) else {}
        by = self.random.choice(("ops", "billing"))
        yield self.commanded(kind, asked, requestedBy=by, **closable)
        waited = self.random.choice((-1_500, 0, 1_000, 9 * MINUTE, 11 * MINUTE))
        answered = (asked + waited) // 1_000 * 1_000
        if closable and self.chance(0.6):
            refusal = self.random.choice((Kind.REFUSED, Kind.NOT_FOUND, Kind.EXPIRY_SUSPECTED))
            yield self.commanded(refusal, answered, closes=named)
            return
        outcome = self.random.choice((Kind.INVALIDATED, Kind.DELETE_CONFIRMED, Kind.EXPIRED, None))
        if outcome is not None:
            status = Status.DELETED if outcome is Kind.DELETE_CONFIRMED else Status.EXPIRED
            yield self.delivered(self.claim(outcome, answered, status=status))

    def absence(self) -> Iterator[Statement]:
        """Passes do not list it; then the provider does not know it, or a row shows it again."""
        since = self.instant()
        found = since + 3 * MINUTE
        known = self.chance(0.5)
        if known:
            told = {"clientReferenceId": "user_1"}
            yield self.delivered(self.claim(Kind.CREATED, since, Status.ACTIVE, told))
        fields = {"missingSince": since, "lastListedAt": since - MINUTE}
        yield self.swept(self.claim(Kind.MISSING, found, None, fields))
        if self.chance(0.3):
            yield self.commanded(Kind.NOT_FOUND, found + self.random.choice((0, 1_000)))
        if self.chance(0.2):
            yield self.swept(self.claim(Kind.DELETION_PROVED, found + MINUTE, Status.DELETED))
        if self.chance(0.8):
            row = self.row_claim(since, found + self.random.choice((1, 4, 15)) * MINUTE)
            moved = {**row.fields, "clientReferenceId": "user_2"} if known else row.fields
            yield self.swept(replace(row, fields=moved).identified())

    def suspicion(self) -> Iterator[Statement]:
        """A call that names it is refused for want of a session."""
        k = self.instant()
        if self.chance(0.5):
            yield self.delivered(self.claim(Kind.UPDATED, k, Status.ACTIVE))
        yield self.commanded(Kind.EXPIRY_SUSPECTED, k + 1)

    def fork(self) -> Iterator[Statement]:
        """A Link session for it ended in another connection, or one for another in it."""
        side = self.random.choice(("predecessorId", "successorId"))
        fields = {side: self.random.choice(("conn_a", "conn_b")), "linkId": "link_1"}
        yield self.commanded(Kind.FORKED, self.instant(), **fields)

    def ending_and_row(self) -> Iterator[Statement]:
        """An end, and a row answered 9 to 12 minutes later."""
        (end,) = self.ending()
        yield end
        later = self.random.choice((9 * MINUTE, 10 * MINUTE, 10 * MINUTE + 1, 12 * MINUTE))
        yield self.swept(self.row_claim(BASE, end.claim.k + later))

    def again(self) -> Iterator[Statement]:
        """A claim that was told before, by another delivery or the very same one."""
        if self.told:
            known = self.random.choice(self.told)
            stream = known.evidence.stream if self.chance(0.2) else self.stream()
            yield Statement(known.claim, replace(known.evidence, stream=stream))

    def webhook(self, k: int) -> Claim:
        """What a webhook of any type says; `created` has a status, `expired` little else."""
        kind = self.random.choice((Kind.CREATED, Kind.CREATED, Kind.UPDATED, Kind.EXPIRED))
        if kind is Kind.EXPIRED:
            return self.claim(kind, k, status=Status.EXPIRED)
        status: Status | None = self.random.choice(STATUSES)
        fields = self.some_fields()
        flags: tuple[str, ...] = ()
        if self.chance(0.1):
            status, flags = None, ("unknown_status",)
            fields["providerStatus"] = "paused"
        elif kind is Kind.UPDATED and self.chance(0.5):
            status = None
        return self.claim(kind, k, status, fields, flags=flags, user_data=self.some_user_data())

    def row_claim(self, updated: int, answered: int) -> Claim:
        """What a list row says of now."""
        status = None if self.chance(0.1) else self.random.choice(STATUSES)
        fields = {**self.some_fields(), "imported": self.chance(0.3)}
        fields["expiredAt"] = "2023-11-14T22:13:20Z" if status is Status.EXPIRED else None
        k = max(updated, answered - 2 * MINUTE)
        claim = self.claim(Kind.ROW, k, status, fields, user_data=self.some_user_data())
        return replace(claim, answered=answered).identified()

    def dated(self, row: Claim, kind: Kind, k: int, status: Status | None) -> Claim:
        """What a row seen for the first time says of an earlier time."""
        return replace(row, kind=kind, k=k, status=status, answered=None).identified()

    def some_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self.chance(0.6):
            fields["clientReferenceId"] = self.random.choice(REFERENCES)
        if self.chance(0.4):
            fields["permissions"] = self.random.choice((["profile:read"], ["messages:read"], []))
        return fields

    def some_user_data(self) -> dict[str, Any]:
        everything = {
            "id": "u1",
            "name": self.random.choice(("Ann", "Bea", None)),
            "username": self.random.choice(("ann", "bea")),
            "avatar": self.random.choice((None, "https://example.com/a.png")),
        }
        return {key: value for key, value in everything.items() if self.chance(0.4)}

    def claim(
        self,
        kind: Kind,
        k: int,
        status: Status | None = None,
        fields: dict[str, Any] | None = None,
        *,
        flags: tuple[str, ...] = (),
        user_data: dict[str, Any] | None = None,
    ) -> Claim:
        return Claim(
            connection_id=CONNECTION,
            kind=kind,
            k=k,
            status=status,
            fields=fields or {},
            personal={"userData": user_data} if user_data else {},
            flags=flags,
        ).identified()

    def commanded(self, kind: Kind, k: int, **fields: Any) -> Statement:
        return Statement(self.claim(kind, k, None, fields), Evidence("command:1", "command", k))

    def delivered(self, claim: Claim) -> Statement:
        return Statement(claim, Evidence(self.stream(), "documented", claim.k + 500))

    def swept(self, claim: Claim) -> Statement:
        return Statement(claim, Evidence(self.stream("sweep"), "sweep", claim.k + 500))

    def stream(self, kind: str = "delivery") -> str:
        self.streams += 1
        return f"{kind}:{self.streams}"

    def instant(self) -> int:
        return BASE + self.random.choice(INSTANTS)

    def chance(self, share: float) -> bool:
        return self.random.random() < share
