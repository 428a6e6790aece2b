"""An independent model of the fold: what a set of statements means, question by question.

It shares no code with `ledger.domain.connection`, and of the claims it uses the data only. Nothing
here walks the claims once and remembers: every answer is a question put to the ordered claims, so a
slip in one of the two is unlikely to be repeated in the other. It is slow and meant to be.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ledger.domain.claim import Claim, Statement

TEN_MINUTES = 600_000
ONE_SECOND = 1_000
ORDER_OF_WORDS = [None, "active", "awaiting_2fa", "expired", "deleted"]
CREATIONS = ["webhook.created", "row.birth"]
ENDINGS = ["webhook.disconnected", "command.deleted", "sweep.deleted"]
ROWS = ["row", "row.birth", "row.updated", "row.expired"]
NOTES = {
    "sweep.missing": "connection.missing",
    "command.not_found": "connection.confirmed",
    "command.delete_requested": "connection.deletion_requested",
    "command.invalidate_requested": "connection.invalidation_requested",
    "command.expiry_suspected": "connection.expiry_suspected",
    "command.refused": "connection.confirmed",
    "link.forked": "connection.forked",
}
REQUESTS = {"command.delete_requested": "delete", "command.invalidate_requested": "invalidate"}
NULL_IS_A_VALUE = ["avatar", "expiredAt"]


def model(statements: Sequence[Statement]) -> dict[str, Any]:
    """Give the canonical view of the statements, as plain JSON values."""
    claims = in_order(statements)
    return {
        "status": status(claims),
        "statusSince": status_since(claims),
        "client": client(claims),
        "fields": fields(claims),
        "userData": user_data(claims),
        "createdAt": next((c.k for c in claims if c.kind.value in CREATIONS), None),
        "deletedAt": claims[deletion(claims)].k if status(claims) == "deleted" else None,
        "flags": sorted(flags(claims, statements)),
        **notes(claims),
        "history": [
            {
                "claim": claim.id,
                "names": names(claims[:i], claim),
                "status": status(claims[: i + 1]),
                "client": client(claims[: i + 1]) or first_client(claims),
                "cause": cause(claims, i),
            }
            for i, claim in enumerate(claims)
        ],
    }


def stands(statement: Statement, statements: Sequence[Statement]) -> bool:
    """Whether no statement of the same delivery carries a smaller signature time."""
    return not statement.claim.stamped or not any(
        other.claim.stamped
        and other.evidence.stream == statement.evidence.stream
        and other.claim.k < statement.claim.k
        for other in statements
    )


def in_order(statements: Sequence[Statement]) -> list[Claim]:
    """List each claim that stands once, in the order of the provider's time and the tie rules."""
    distinct = {s.claim.id: s.claim for s in statements if stands(s, statements)}
    by_id = sorted(distinct.values(), key=lambda c: c.id)
    by_word = sorted(by_id, key=lambda c: ORDER_OF_WORDS.index(word(c)))
    creation_first = sorted(by_word, key=lambda c: c.kind.value not in CREATIONS)
    ending_last = sorted(creation_first, key=lambda c: c.kind.value in ENDINGS)
    return sorted(ending_last, key=lambda c: c.k)


def word(claim: Claim) -> str | None:
    """The status that a claim states, whether or not it counts."""
    if claim.kind.value in ENDINGS:
        return "deleted"
    return None if claim.status is None else claim.status.value


def is_note(claim: Claim) -> bool:
    """Whether it states nothing of the connection's own."""
    return claim.kind.value in NOTES


def statements_among(claims: Sequence[Claim]) -> list[Claim]:
    """The claims that are no notes."""
    return [claim for claim in claims if not is_note(claim)]


def lives(claims: Sequence[Claim], start: int = 0) -> Iterator[tuple[int, int]]:
    """Give the spans in which the connection lived: first claim, and the claim that ended it.

    The end of a life that goes on is the number of claims.
    """
    end = next((i for i in range(start, len(claims)) if word(claims[i]) == "deleted"), None)
    if end is None:
        yield start, len(claims)
        return
    yield start, end
    again = [i for i in range(end + 1, len(claims)) if shows_alive(claims[i], claims[end].k)]
    if again:
        yield from lives(claims, again[0])


def shows_alive(claim: Claim, deleted_at: int) -> bool:
    """Whether a list row shows the connection over ten minutes after its deletion."""
    return (
        claim.kind.value == "row"
        and claim.status is not None
        and claim.answered is not None
        and claim.answered - deleted_at > TEN_MINUTES
    )


def deletion(claims: Sequence[Claim]) -> int:
    """The place of the claim that ended the last life, or the number of claims."""
    return list(lives(claims))[-1][1]


def spoken(claims: Sequence[Claim]) -> list[tuple[int, str]]:
    """The (time, status) of each claim whose status counts: said in a life, or of its end."""
    alive = {i for first, end in lives(claims) for i in range(first, end)}
    return [
        (claim.k, said)
        for i, claim in enumerate(claims)
        if (said := word(claim)) is not None and (i in alive or said == "deleted")
    ]


def status(claims: Sequence[Claim]) -> str | None:
    """The last status that counts."""
    words = [said for _, said in spoken(claims)]
    return words[-1] if words else None


def status_since(claims: Sequence[Claim]) -> int | None:
    """The time of the first claim of the unbroken run of the last status."""
    words = spoken(claims)
    others = [i for i, (_, said) in enumerate(words) if said != status(claims)]
    run = words[others[-1] + 1 :] if others else words
    return run[0][0] if run else None


def carried(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For each name, the value in the last part that carries it."""
    return {
        name: [part[name] for part in parts if holds(part, name)][-1]
        for name in sorted({n for part in parts for n in part if holds(part, n)})
    }


def holds(part: dict[str, Any], name: str) -> bool:
    """Whether a value is there: null is one for two names only."""
    return name in part and (part[name] is not None or name in NULL_IS_A_VALUE)


def fields(claims: Sequence[Claim]) -> dict[str, Any]:
    """The fields that may be kept for ever."""
    return carried([dict(c.fields) for c in statements_among(claims)])


def user_data(claims: Sequence[Claim]) -> dict[str, Any]:
    """The creator's own data, key by key."""
    return carried([dict(c.personal.get("userData") or {}) for c in statements_among(claims)])


def references(claims: Sequence[Claim]) -> list[str]:
    """Every clientReferenceId that was stated, in order."""
    stated = [c.fields.get("clientReferenceId") for c in claims]
    return [reference for reference in stated if reference is not None]


def client(claims: Sequence[Claim]) -> str | None:
    """Whose it is after the last of the claims."""
    stated = references(claims)
    return stated[-1] if stated else None


def first_client(claims: Sequence[Claim]) -> str | None:
    """Whose it was from its birth: a reference learned late counts backwards."""
    stated = references(claims)
    return stated[0] if stated else None


def names(before: Sequence[Claim], claim: Claim) -> list[str]:
    """Name the transition that a claim makes against those before it in the order."""
    if is_note(claim):
        return [NOTES[claim.kind.value]]
    if not statements_among(before):
        if claim.kind.value in CREATIONS:
            return ["connection.created"]
        return ["connection.discovered"] + ["connection.deleted"] * (word(claim) == "deleted")
    after = [*before, claim]
    moved = client(before) not in (None, client(after))
    turned = status(before) != status(after)
    changed = fields(before) != fields(after) or user_data(before) != user_data(after)
    found = ["connection.reassigned"] * moved
    if claim.kind.value in ROWS and notes(before)["missingSince"] is not None:
        found.append("connection.reappeared")
    found += [transition(before, after)] * turned
    return found or ["connection.updated" if changed else "connection.confirmed"]


def transition(before: Sequence[Claim], after: Sequence[Claim]) -> str:
    """Name a change of status."""
    old, new = status(before), status(after)
    if old == "deleted":
        return "connection.reappeared"
    if new != "active":
        return f"connection.{new}"
    if old is None:
        return "connection.updated"
    was_in = any(word(claim) in ("active", "expired") for claim in before)
    return "connection.reconnected" if old == "expired" or was_in else "connection.activated"


def notes(claims: Sequence[Claim]) -> dict[str, Any]:
    """What notes come to, question by question."""
    absent = last_note("sweep.missing", claims)
    unknown = last_note("command.not_found", claims)
    suspected = [
        claim.k
        for i, claim in enumerate(claims)
        if claim.kind.value == "command.expiry_suspected"
        and status(claims[:i]) == "active"
        and len(spoken(claims[:i])) == len(spoken(claims))
    ]
    forks = [dict(c.fields) for c in claims if c.kind.value == "link.forked"]
    closed = [c.fields["closes"] for c in claims if is_note(c) and "closes" in c.fields]
    asked = {
        kind: [
            c.k for c in claims if c.kind.value == kind and c.fields.get("command") not in closed
        ]
        for kind in REQUESTS
    }
    return {
        "missingSince": None if absent is None else absent.fields["missingSince"],
        "lastListedAt": None if absent is None else absent.fields["lastListedAt"],
        "notFoundAt": None if unknown is None else unknown.k,
        "deletionRequestedAt": max(asked["command.delete_requested"], default=None),
        "invalidationRequestedAt": max(asked["command.invalidate_requested"], default=None),
        "expirySuspectedAt": min(suspected, default=None),
        "predecessorId": carried(forks).get("predecessorId"),
        "successorId": carried(forks).get("successorId"),
    }


def last_note(kind: str, claims: Sequence[Claim]) -> Claim | None:
    """The last note of a kind of a connection that was there, if nothing was stated since."""
    for i in reversed(range(len(claims))):
        if not is_note(claims[i]):
            return None
        if claims[i].kind.value == kind and status(claims[:i]) != "deleted":
            return claims[i]
    return None


def cause(claims: Sequence[Claim], i: int) -> tuple[str, str, int] | None:
    """The last of our own requests up to ten minutes before an expiry, or two seconds after it."""
    if status(claims[: i + 1]) != "expired" or status(claims[:i]) == "expired":
        return None
    near = [
        (REQUESTS[c.kind.value], c.fields["requestedBy"], c.k)
        for c in claims
        if c.kind.value in REQUESTS and -2_000 <= claims[i].k - c.k <= TEN_MINUTES
    ]
    return near[-1] if near else None


def flags(claims: Sequence[Claim], statements: Sequence[Statement]) -> set[str]:
    """What a reader should be warned of."""
    found = {flag for s in statements if stands(s, statements) for flag in s.claim.flags}
    gone = status(claims) == "deleted"
    if status(claims) is None:
        found.add("inferred")
    words = spoken(claims)
    if words and any(said != words[-1][1] and words[-1][0] - k <= ONE_SECOND for k, said in words):
        found.add("ambiguous")
    if any(
        c.kind.value.startswith("webhook") and word(c) != "deleted"
        for c in claims[deletion(claims) :]
    ):
        found.add("after_deletion")
    if not gone and len(list(lives(claims))) > 1:
        found.add("still_billed")
    return found
