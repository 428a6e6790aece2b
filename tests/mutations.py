"""Signed requests with one thing changed each, from a seed: none of them may be accepted."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

Headers = tuple[tuple[str, str], ...]

HEX = "0123456789abcdef"
BASE64 = string.ascii_letters + string.digits + "+/"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
LATIN = "\xa0\xb2\xb9\xd7\xe9\xff"
WIDE = "\uff10\uff11\uff56\u0663\u2028\ud800\u212a"
IDS = ("svix-id", "webhook-id")
STAMPS = ("svix-timestamp", "webhook-timestamp")
SIGNATURES = ("svix-signature", "webhook-signature")
DOCUMENTED = "ofauth-signature"
FAMILIES = ("svix", "webhook")


@dataclass(frozen=True)
class SignedRequest:
    """A request's headers, in order, and its body."""

    headers: Headers
    body: bytes

    def named(self, *names: str) -> list[int]:
        """Indices of the headers with one of these names (in lower case)."""
        return [index for index, (name, _) in enumerate(self.headers) if name.lower() in names]

    def with_value(self, index: int, value: str) -> SignedRequest:
        """The same request with another value of one header."""
        name = self.headers[index][0]
        return replace(
            self, headers=(*self.headers[:index], (name, value), *self.headers[index + 1 :])
        )


@dataclass(frozen=True)
class Mutation:
    """A request changed in one place, and the share of the mutations that it belongs to."""

    share: str
    request: SignedRequest


Change = Callable[[random.Random, SignedRequest, bool], SignedRequest]


def one_character(rng: random.Random, text: str, alphabet: str) -> str:
    """The text with one character replaced, inserted or removed; never equal to it."""
    at = rng.randrange(len(text))
    kind = rng.randrange(4)
    if kind == 0 and len(text) > 1:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + rng.choice(alphabet) + text[at:]
    return text[:at] + other(rng, text[at], alphabet) + text[at + 1 :]


def other(rng: random.Random, character: str, alphabet: str) -> str:
    """Another character of the alphabet than this one."""
    return rng.choice(alphabet.replace(character, ""))


def signature_start(value: str) -> int:
    """Where the encoded signature begins in a header's value."""
    return value.index("v1") + 3


def change_body(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """One byte of the body changed, inserted or removed."""
    body, at = request.body, rng.randrange(len(request.body))
    kind = rng.randrange(4)
    if kind == 0:
        return replace(request, body=body[:at] + body[at + 1 :])
    if kind == 1:
        return replace(request, body=body[:at] + rng.randbytes(1) + body[at:])
    changed = body[at] ^ rng.randrange(1, 256)
    return replace(request, body=body[:at] + bytes([changed]) + body[at + 1 :])


def change_time(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """Another time, near or far, or the same time in another spelling."""
    [index] = request.named(DOCUMENTED, *STAMPS)
    name, value = request.headers[index]
    stamp = value[2 : value.index(",")] if name.lower() == DOCUMENTED else value
    number = int(stamp)
    moved = number + rng.choice((-1, 1)) * rng.choice(
        (1, 2, 60, 300, 3600, 86400, rng.randrange(1, number))
    )
    respelt = (f"0{stamp}", f"+{stamp}", f"-{stamp}", f"{stamp}.0", f"{stamp}000", f"{number:_}")
    digits = one_character(rng, stamp, string.digits)
    spelt = rng.choice((str(moved), str(moved), digits, hex(number), "", "0", *respelt))
    return request.with_value(index, value.replace(stamp, spelt, 1))


def change_id(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """Another message id."""
    [index] = request.named(*IDS)
    value = request.headers[index][1]
    alphabet = rng.choice((string.ascii_letters + string.digits, VISIBLE))
    changed = rng.choice(
        (one_character(rng, value, alphabet), value.swapcase(), value * 30, "", ".")
    )
    return request.with_value(index, changed)


def change_signature(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """One character of the signature, from its own alphabet or any other."""
    [index] = request.named(DOCUMENTED, *SIGNATURES)
    name, value = request.headers[index]
    start = signature_start(value)
    own = HEX if name.lower() == DOCUMENTED else BASE64
    changed = one_character(rng, value[start:], rng.choice((own, own, own, VISIBLE)))
    return request.with_value(index, value[:start] + changed)


def change_last(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """The last base64 character, whose low bits decoding drops."""
    [index] = request.named(*SIGNATURES)
    value = request.headers[index][1]
    at = len(value.rstrip("=")) - 1
    changed = value[:at] + other(rng, value[at], BASE64) + value[at + 1 :]
    return request.with_value(index, changed)


def change_case(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """Some or all hex letters in upper case."""
    [index] = request.named(DOCUMENTED)
    value = request.headers[index][1]
    start = signature_start(value)
    letters = [at for at in range(start, len(value)) if value[at].isalpha()]
    chosen = set(rng.sample(letters, rng.choice((1, len(letters)))))
    changed = "".join(c.upper() if at in chosen else c for at, c in enumerate(value))
    return request.with_value(index, changed)


def insert_space(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """White space in a signature header; over HTTP only inside, since parsers trim the ends."""
    index = rng.choice(request.named(DOCUMENTED, *IDS, *STAMPS, *SIGNATURES))
    value = request.headers[index][1]
    if over_http:
        at, space = rng.randrange(1, len(value)), rng.choice((" ", "\t", "  "))
    else:
        at, space = rng.randrange(len(value) + 1), rng.choice((" ", "\t", "  ", "\n", "\r\n", "\v"))
    return request.with_value(index, value[:at] + space + value[at:])


def remove_header(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """One signature header absent; of two dialects sent together, one of the family of three."""
    parts = request.named(*IDS, *STAMPS, *SIGNATURES) or request.named(DOCUMENTED)
    index = rng.choice(parts)
    return replace(request, headers=request.headers[:index] + request.headers[index + 1 :])


def double_header(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """One signature header twice, in any case and place, with the same value or another."""
    index = rng.choice(request.named(DOCUMENTED, *IDS, *STAMPS, *SIGNATURES))
    name, value = request.headers[index]
    again = rng.choice((name, name.lower(), name.upper(), name.title()))
    repeated = rng.choice((value, value, one_character(rng, value, VISIBLE)))
    at = rng.randrange(len(request.headers) + 1)
    return replace(
        request, headers=(*request.headers[:at], (again, repeated), *request.headers[at:])
    )


def not_ascii(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """A character outside ASCII in a signature header; over HTTP one that fits in a byte."""
    index = rng.choice(request.named(DOCUMENTED, *IDS, *STAMPS, *SIGNATURES))
    value = request.headers[index][1]
    at = rng.randrange(1, len(value))
    character = rng.choice(LATIN if over_http else LATIN + WIDE)
    return request.with_value(index, value[:at] + character + value[at + rng.randrange(2) :])


def foreign_id(rng: random.Random, request: SignedRequest, over_http: bool) -> SignedRequest:
    """An id, perhaps with a time or a signature, of a dialect that was not sent: never complete."""
    sent = {request.headers[index][0].lower()[:-3] for index in request.named(*IDS)}
    family = rng.choice([family for family in FAMILIES if family not in sent])
    stray = [(f"{family}-id", f"msg_{rng.randbytes(8).hex()}")]
    extra = rng.randrange(3)
    if extra == 1:
        stray.append((f"{family}-timestamp", str(rng.randrange(10**9, 10**10))))
    elif extra == 2:
        stray.append((f"{family}-signature", "v1," + "A" * 43 + "="))
    at = rng.randrange(len(request.headers) + 1)
    return replace(request, headers=(*request.headers[:at], *stray, *request.headers[at:]))


def anything(request: SignedRequest) -> bool:
    """Every request, also one with several dialects (which are all touched, or one made bad)."""
    return True


def one_dialect(request: SignedRequest) -> bool:
    """One dialect only: another one could rightly verify in its place."""
    return len(request.named(DOCUMENTED, *SIGNATURES)) == 1


def one_family(request: SignedRequest) -> bool:
    """One dialect, with a message id and base64."""
    return one_dialect(request) and bool(request.named(*IDS))


def one_documented(request: SignedRequest) -> bool:
    """One dialect, in hex."""
    return one_dialect(request) and bool(request.named(DOCUMENTED))


def with_spare_family(request: SignedRequest) -> bool:
    """At least one dialect with ids was not sent."""
    return len(request.named(*IDS)) < len(FAMILIES)


SHARES: dict[str, tuple[Change, Callable[[SignedRequest], bool]]] = {
    "body": (change_body, anything),
    "time": (change_time, one_dialect),
    "id": (change_id, one_family),
    "signature": (change_signature, one_dialect),
    "last base64 character": (change_last, one_family),
    "hex case": (change_case, one_documented),
    "white space": (insert_space, anything),
    "absent": (remove_header, anything),
    "doubled": (double_header, anything),
    "non-ASCII": (not_ascii, anything),
    "foreign id": (foreign_id, with_spare_family),
}


def mutate(
    rng: random.Random, request: SignedRequest, share: str | None = None, *, over_http: bool = False
) -> Mutation:
    """Change the request in one place; the share is drawn from those that apply when not given.

    With `over_http` every change can be sent and survives an HTTP parser: values stay in Latin-1,
    without line ends, and nothing is added at the ends of a value.
    """
    chosen = share or rng.choice([name for name, (_, fits) in SHARES.items() if fits(request)])
    change = SHARES[chosen][0]
    while (changed := change(rng, request, over_http)) == request or (
        over_http and not survives(changed)
    ):
        pass
    return Mutation(chosen, changed)


def survives(request: SignedRequest) -> bool:
    """Whether an HTTP parser hands over every header value as it was sent."""
    return all(
        value == value.strip(" \t\xa0") and not set(value) & set("\r\n\v\f\0")
        for _, value in request.headers
    )


def mutations(
    seed: int, requests: Sequence[SignedRequest], count: int, *, over_http: bool = False
) -> Iterator[Mutation]:
    """`count` mutations in equal shares (to within one), each of a request that its share fits."""
    rng = random.Random(seed)
    pools = {
        share: [request for request in requests if fits(request)]
        for share, (_, fits) in SHARES.items()
    }
    names = list(SHARES)
    for number in range(count):
        share = names[number % len(names)]
        yield mutate(rng, rng.choice(pools[share]), share, over_http=over_http)
