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
ENDINGS = ["webhook.disconnected", "command.deleted"]
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
        "history": [
            {
                "claim": claim.id,
                "names": names(claims[:i], claim),
                "status": status(claims[: i + 1]),
                "client": client(claims[: i + 1]) or first_client(claims),
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
    return carried([dict(c.fields) for c in claims])


def user_data(claims: Sequence[Claim]) -> dict[str, Any]:
    """The creator's own data, key by key."""
    return carried([dict(c.personal.get("userData") or {}) for c in claims])


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
    if not before:
        if claim.kind.value in CREATIONS:
            return ["connection.created"]
        return ["connection.discovered"] + ["connection.deleted"] * (word(claim) == "deleted")
    after = [*before, claim]
    moved = client(before) not in (None, client(after))
    turned = status(before) != status(after)
    changed = fields(before) != fields(after) or user_data(before) != user_data(after)
    found = ["connection.reassigned"] * moved + [transition(before, after)] * turned
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
