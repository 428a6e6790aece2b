"""No request with one thing changed is accepted, in 100,000 tries from a fixed seed."""

import base64
import hmac
from collections import Counter

from ledger.ofauth.signatures import Dialect, Secret, SignatureError, sign, sign_all, verify
from tests.mutations import SHARES, SignedRequest, mutations

COUNT = 100_000
SEED = 20_240_115
NOW = 1_705_314_605
WHSEC = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
PLAIN = Secret("an-older-secret-without-a-prefix")
SECRETS = (PLAIN, WHSEC)
BODY = (
    b'{"type": "connection.created", "timestamp": "2024-01-15T10:30:00Z", "data": '
    b'{"clientReferenceId": "user_456", "connection": {"id": "conn_abc123", "status": "active"}}}'
)


def signed(headers: dict[str, str]) -> SignedRequest:
    """A request with these signature headers among others."""
    around = (("Host", "ledger.example"), ("Content-Type", "application/json"))
    return SignedRequest((*around, *headers.items()), BODY)


REQUESTS = [
    *(signed(sign(Dialect.DOCUMENTED, secret, BODY, stamp=NOW)) for secret in SECRETS),
    signed(sign(Dialect.DOCUMENTED, WHSEC, BODY, stamp=NOW - 7200, decoded=True)),
    *(
        signed(sign(dialect, WHSEC, BODY, stamp=NOW - age, message_id=f"msg_2b4fA{age}"))
        for dialect in (Dialect.SVIX, Dialect.STANDARD)
        for age in (0, 1, 2, 7200)
    ),
    signed(
        sign_all([Dialect.DOCUMENTED, Dialect.SVIX], WHSEC, BODY, stamp=NOW, message_id="msg_2b4f")
    ),
]


def accepted(request: SignedRequest) -> bool:
    """Whether the module accepts the request; anything but SignatureError fails the test."""
    try:
        verify(request.headers, request.body, SECRETS, now=NOW)
    except SignatureError:
        return False
    return True


def carelessly_accepted(request: SignedRequest) -> bool:
    """A planted fault: signatures are decoded before they are compared, nothing else is wrong."""
    headers = {name.lower(): value for name, value in request.headers}
    svix = {name.replace("webhook-", "svix-"): value for name, value in headers.items()}
    try:
        if "ofauth-signature" in headers:
            stamp, _, text = headers["ofauth-signature"].partition(",v1=")
            key, prefix, got = WHSEC.value.encode(), stamp[2:], bytes.fromhex(text)
        else:
            key = base64.b64decode(WHSEC.value[6:])
            prefix = f"{svix['svix-id']}.{svix['svix-timestamp']}"
            got = base64.b64decode(svix["svix-signature"][3:])
        return hmac.compare_digest(
            hmac.digest(key, f"{prefix}.".encode() + request.body, "sha256"), got
        )
    except (KeyError, ValueError):
        return False


def test_the_requests_are_accepted_before_they_are_changed() -> None:
    """Each unchanged request verifies, so that every refusal is the change's doing."""
    assert all(accepted(request) for request in REQUESTS)


def test_no_mutation_is_accepted() -> None:
    """100,000 changes in equal shares: SignatureError for each, never another exception."""
    tried: Counter[str] = Counter()
    for mutation in mutations(SEED, REQUESTS, COUNT):
        tried[mutation.share] += 1
        assert not accepted(mutation.request), mutation
    assert set(tried) == set(SHARES)
    assert tried.total() == COUNT
    assert max(tried.values()) - min(tried.values()) <= 1


def test_the_mutations_catch_a_comparison_that_decodes() -> None:
    """A receiver that decodes signatures before comparing accepts some of the same mutations."""
    caught = Counter(
        mutation.share
        for mutation in mutations(SEED, REQUESTS, 20_000)
        if carelessly_accepted(mutation.request)
    )
    assert caught["last base64 character"] > 20
    assert caught["hex case"] > 20
    assert caught["white space"] > 20
    assert caught["body"] == caught["time"] == caught["id"] == 0


def test_the_same_seed_makes_the_same_mutations() -> None:
    """A failure can be found again from the seed alone."""
    assert list(mutations(7, REQUESTS, 500)) == list(mutations(7, REQUESTS, 500))


def test_mutations_for_http_can_be_sent_as_they_are() -> None:
    """With over_http every value fits in Latin-1, on one line, and has no space at its ends."""
    for mutation in mutations(SEED, REQUESTS, 5_000, over_http=True):
        assert not accepted(mutation.request), mutation
        for _, value in mutation.request.headers:
            value.encode("latin-1")
            assert value == value.strip()
            assert len(value.splitlines()) <= 1
