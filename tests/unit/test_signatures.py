"""What a signature proves, and what is refused."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
import standardwebhooks
import svix
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.errors import LedgerError
from ledger.ofauth.signatures import (
    Dialect,
    Reason,
    Secret,
    SignatureError,
    Verdict,
    complete_dialect,
    sign,
    sign_all,
    verify,
)
from tests.unit.independent_ofauth_signature import hmac_sha256, ofauth_signature

NOW = 1_705_314_605
BODY = b'{"eventType": "connection.created", "live": true, "data": {}}'
KEY = bytes(range(24))
WHSEC = Secret("whsec_" + base64.b64encode(KEY).decode())
OTHER = Secret("whsec_" + base64.b64encode(bytes(reversed(KEY))).decode())
PLAIN = Secret("a plain secret, with spaces")
ID = "msg_2b4fA"
FAMILY = {Dialect.SVIX: "svix", Dialect.STANDARD: "webhook"}
FAMILIES = pytest.mark.parametrize("dialect", list(FAMILY))
DIALECTS = pytest.mark.parametrize("dialect", list(Dialect))


def by_hand(dialect: Dialect, signature: str, *, stamp: int = NOW) -> dict[str, str]:
    """The three headers of a family with a ready signature."""
    name = FAMILY[dialect]
    return {f"{name}-id": ID, f"{name}-timestamp": str(stamp), f"{name}-signature": signature}


def signed(dialect: Dialect, secret: Secret = WHSEC, *, age: int = 0) -> dict[str, str]:
    """Headers for BODY made by the module, `age` seconds ago."""
    return sign(dialect, secret, BODY, stamp=NOW - age, message_id=ID)


def check(headers: dict[str, str], *secrets: Secret, body: bytes = BODY) -> Verdict:
    """Verify BODY now, with WHSEC unless other secrets are given."""
    return verify(headers.items(), body, secrets or (WHSEC,), now=NOW)


def refusal(headers: list[tuple[str, str]] | dict[str, str], **options: bool) -> Reason:
    """The reason for which a request with these headers is refused."""
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    with pytest.raises(SignatureError) as caught:
        verify(pairs, BODY, (WHSEC,), now=NOW, **options)
    return caught.value.reason


def test_a_delivery_signed_by_svix_is_accepted() -> None:
    """The PyPI package svix is an oracle for the svix dialect."""
    at = datetime.fromtimestamp(NOW, UTC)
    signature = svix.webhooks.Webhook(WHSEC.value).sign(ID, at, BODY.decode())
    [one] = check(by_hand(Dialect.SVIX, signature)).verifications
    assert (one.dialect, one.stamp, one.message_id) == (Dialect.SVIX, NOW, ID)
    assert one.secret == WHSEC.label


def test_a_delivery_signed_by_standardwebhooks_is_accepted() -> None:
    """The PyPI package standardwebhooks is an oracle for the standard dialect."""
    at = datetime.fromtimestamp(NOW, UTC)
    signature = standardwebhooks.Webhook(WHSEC.value).sign(ID, at, BODY.decode())
    verdict = check(by_hand(Dialect.STANDARD, signature))
    assert (verdict.dialect, verdict.message_id) == (Dialect.STANDARD, ID)


@pytest.mark.parametrize("text", ["AAECAwQFBgcICQ==", "AAECAwQFBgcICQ", "whsec_AAECAwQFBgcICQ"])
@FAMILIES
def test_a_secret_without_prefix_or_padding_is_read_as_the_libraries_do(
    dialect: Dialect, text: str
) -> None:
    """Without whsec_ the whole string is base64; padding may be missing."""
    at = datetime.fromtimestamp(NOW, UTC)
    signature = svix.webhooks.Webhook(text).sign(ID, at, BODY.decode())
    assert check(by_hand(dialect, signature), Secret(text)).message_id == ID


@settings(max_examples=200, deadline=None)
@given(key=st.binary(min_size=1, max_size=130), body=st.binary(max_size=300), age=st.integers(0, 9))
def test_deliveries_of_the_independent_implementation_are_accepted(
    key: bytes, body: bytes, age: int
) -> None:
    """A second implementation of OFAuth-Signature, with keys of every length, agrees."""
    secret = Secret("whsec_" + base64.b64encode(key).decode())
    value = ofauth_signature(key, NOW - age, body)
    verdict = check({"ofauth-signature": value}, secret, body=body)
    assert (verdict.dialect, verdict.stamp, verdict.message_id) == ("documented", NOW - age, None)


def test_the_independent_hmac_gives_the_published_vector() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


@pytest.mark.parametrize("key", [WHSEC.value.encode(), KEY])
def test_both_keys_of_a_whsec_secret_sign_the_documented_dialect(key: bytes) -> None:
    """It is unknown whether OFAuth uses the whole string or its decoded part."""
    verdict = check({"OFAuth-Signature": ofauth_signature(key, NOW, BODY)})
    assert verdict.verifications[0].secret == WHSEC.label


def test_a_plain_secret_is_a_key_as_it_is() -> None:
    """Without whsec_ the secret's bytes are the only documented key, and none of the others."""
    value = ofauth_signature(PLAIN.value.encode(), NOW, BODY)
    assert check({"OFAuth-Signature": value}, PLAIN).dialect is Dialect.DOCUMENTED
    with pytest.raises(SignatureError):
        signed(Dialect.SVIX, PLAIN)


@DIALECTS
def test_any_of_several_secrets_verifies(dialect: Dialect) -> None:
    """All secrets are valid at once, and the verdict names the one that matched."""
    verdict = check(signed(dialect, OTHER), PLAIN, WHSEC, OTHER)
    assert verdict.verifications[0].secret == OTHER.label


@FAMILIES
def test_a_rotation_signs_with_both_secrets(dialect: Dialect) -> None:
    """One good signature among several is enough; unknown versions are ignored."""
    name = f"{FAMILY[dialect]}-signature"
    old, new = signed(dialect, OTHER)[name], signed(dialect)[name]
    for value in (f"{old} {new}", f"{new} {old}", f"v1a,AAAA {old} v2,BBBB= {new}"):
        assert check(by_hand(dialect, value)).verifications[0].secret == WHSEC.label
    assert refusal(by_hand(dialect, old)) == "mismatch"
    assert refusal(by_hand(dialect, new.replace("v1", "v1a"))) == "mismatch"


@FAMILIES
def test_at_most_16_signatures_are_read(dialect: Dialect) -> None:
    """A longer list is refused, so that a request cannot buy many comparisons."""
    good = signed(dialect)[f"{FAMILY[dialect]}-signature"]
    assert check(by_hand(dialect, "v1,AAAA " * 15 + good)).message_id == ID
    assert refusal(by_hand(dialect, "v1,AAAA " * 16 + good)) == "malformed"


def test_both_dialects_together_are_both_counted() -> None:
    """Verifications come in a fixed order; the smallest stamp and the first id stand for all."""
    headers = signed(Dialect.STANDARD, age=5) | signed(Dialect.SVIX, age=9)
    verdict = check(headers | signed(Dialect.DOCUMENTED))
    assert [one.dialect for one in verdict.verifications] == list(Dialect)
    assert (verdict.dialect, verdict.stamp, verdict.message_id) == ("documented", NOW - 9, ID)
    both = sign_all([Dialect.DOCUMENTED, Dialect.SVIX], WHSEC, BODY, stamp=NOW, message_id=ID)
    assert both == signed(Dialect.DOCUMENTED) | signed(Dialect.SVIX)


def test_a_complete_dialect_that_does_not_verify_is_not_counted() -> None:
    """OFAuth may sign with separate secrets: the id of an unverified dialect never counts."""
    verdict = check(signed(Dialect.DOCUMENTED) | signed(Dialect.SVIX, OTHER, age=-9_999))
    assert [one.dialect for one in verdict.verifications] == [Dialect.DOCUMENTED]
    assert verdict.message_id is None
    assert verdict.stamp == NOW


@FAMILIES
def test_a_present_dialect_must_be_complete(dialect: Dialect) -> None:
    """A stray header of another dialect refuses the whole request, whatever else verifies."""
    headers = signed(dialect, OTHER)
    for name in headers:
        rest = {other: value for other, value in headers.items() if other != name}
        assert refusal(signed(Dialect.DOCUMENTED) | rest) == "incomplete"
        assert refusal(signed(Dialect.DOCUMENTED) | {name: headers[name]}) == "incomplete"


@DIALECTS
def test_a_doubled_header_is_refused(dialect: Dialect) -> None:
    """Names are compared without case, and equal values are no excuse."""
    headers = list(signed(dialect).items())
    for name, value in headers:
        assert refusal([*headers, (name.upper(), value)]) == "doubled"


def test_header_names_have_no_case() -> None:
    """Proxies and servers change the case of names."""
    headers = signed(Dialect.SVIX) | signed(Dialect.DOCUMENTED)
    for changed in (str.upper, str.lower, str.title):
        assert len(check({changed(name): headers[name] for name in headers}).verifications) == 2


@pytest.mark.parametrize("strict", [False, True])
@DIALECTS
def test_an_old_signature_is_delayed_and_refused_only_when_strict(
    dialect: Dialect, strict: bool
) -> None:
    """Exactly the tolerance is not delayed yet."""
    fresh = verify(signed(dialect, age=300).items(), BODY, [WHSEC], now=NOW, strict=strict)
    assert not fresh.delayed
    old = signed(dialect, age=301)
    if strict:
        assert refusal(old, strict=True) == "delayed"
    else:
        assert check(old).delayed


def test_one_fresh_dialect_makes_the_request_fresh() -> None:
    """Delayed means that every verified stamp is old."""
    assert not check(signed(Dialect.DOCUMENTED, age=9_999) | signed(Dialect.SVIX)).delayed


@DIALECTS
def test_a_signature_from_the_future_is_refused(dialect: Dialect) -> None:
    """300 s ahead is accepted, more is not, also beside a dialect with a good time."""
    assert not check(signed(dialect, age=-300)).delayed
    ahead = signed(dialect, age=-301)
    assert refusal(ahead) == "future"
    beside = Dialect.SVIX if dialect is Dialect.DOCUMENTED else Dialect.DOCUMENTED
    assert refusal(ahead | signed(beside)) == "future"


@pytest.mark.parametrize(
    "value",
    [
        *("", "{}", "t={t}", "t={t},v1=", "t={t},v1={v},v1={v}", "v1={v},t={t}", "t={t}, v1={v}"),
        *("t={t},v1={v}\n", " t={t},v1={v}", "T={t},v1={v}", "t={t},v0={v}", "t={t};v1={v}"),
        *("t={t},v1={v}0", "t=+{t},v1={v}", "t=,v1={v}", "t=00{t}0,v1={v}", "t={t},v1={v},x=1"),
    ],
)
def test_the_documented_header_has_exactly_one_form(value: str) -> None:
    """Anything but `t=<digits>,v1=<64 lower hex>` is malformed."""
    stamp, _, text = signed(Dialect.DOCUMENTED)["OFAuth-Signature"].partition(",")
    filled = value.replace("{t}", stamp[2:]).replace("{v}", text[3:])
    assert refusal({"OFAuth-Signature": filled}) == "malformed"


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "{s} ", " {s}", "{s}  {s}", "{s}\t{s}", "{s},{s}", "{s}, {s}", "v1,", "v1"),
        *("1,{b}", "V1,{b}", "vx,{b}", "v1ab,{b}", "v1;{b}", "v1,{b}\n", "v1, {b}", "v1,{b}=="),
        "v1,-_{b}",
    ],
)
@FAMILIES
def test_a_list_of_signatures_has_exactly_one_form(dialect: Dialect, value: str) -> None:
    """Entries are `v<digits><letter>?,<base64>` with one space between them."""
    good = signed(dialect)[f"{FAMILY[dialect]}-signature"]
    filled = value.replace("{s}", good).replace("{b}", good[3:])
    assert refusal(by_hand(dialect, filled)) == "malformed"


@pytest.mark.parametrize("value", ["", " ", "a b", "a\n", "é", "x" * 257, "\x7f"])
@FAMILIES
def test_an_id_is_1_to_256_visible_ascii_characters(dialect: Dialect, value: str) -> None:
    """The same rule holds for signing."""
    headers = signed(dialect) | {f"{FAMILY[dialect]}-id": value}
    assert refusal(headers) == "malformed"
    with pytest.raises(SignatureError):
        sign(dialect, WHSEC, BODY, stamp=NOW, message_id=value)


@pytest.mark.parametrize("value", ["", "+1", "-1", "1.0", "1e9", " 1", "1\n", "١", "1" * 13])
@FAMILIES
def test_a_time_is_1_to_12_ascii_digits(dialect: Dialect, value: str) -> None:
    """Python would read most of these as numbers."""
    assert refusal(signed(dialect) | {f"{FAMILY[dialect]}-timestamp": value}) == "malformed"


def test_a_time_is_signed_in_its_own_spelling() -> None:
    """A leading zero is another text than the one that was signed."""
    value = signed(Dialect.DOCUMENTED)["OFAuth-Signature"].replace("t=", "t=0")
    assert refusal({"OFAuth-Signature": value}) == "mismatch"


def test_a_signed_text_cannot_be_cut_elsewhere() -> None:
    """`id.time.body` is not accepted as a shorter id, or as no id, with a longer body."""
    dotted = sign(Dialect.SVIX, WHSEC, BODY, stamp=NOW, message_id="msg.1700000000")
    digits = sign(Dialect.SVIX, WHSEC, BODY, stamp=NOW, message_id="1700000000")
    assert check(dotted) != check(digits)
    text = base64.b64decode(digits["svix-signature"][3:]).hex()
    shorter = dotted | {"svix-id": "msg", "svix-timestamp": "1700000000"}
    for cut in (shorter, {"OFAuth-Signature": f"t=1700000000,v1={text}"}):
        with pytest.raises(SignatureError):
            check(cut, body=b"%d.%s" % (NOW, BODY))


@pytest.mark.parametrize("value", ["", "whsec_"])
def test_an_empty_secret_verifies_nothing(value: str) -> None:
    """Anybody can sign with an empty or a well-known key."""
    text = base64.b64encode(hmac_sha256(b"", b"%s.%d.%s" % (ID.encode(), NOW, BODY))).decode()
    forged = [{"OFAuth-Signature": ofauth_signature(key, NOW, BODY)} for key in (b"", b"whsec_")]
    for headers in (*forged, by_hand(Dialect.SVIX, f"v1,{text}")):
        with pytest.raises(SignatureError):
            check(headers, Secret(value))
    with pytest.raises(SignatureError):
        sign(Dialect.DOCUMENTED, Secret(value), BODY, stamp=NOW)


@pytest.mark.parametrize("value", ["whsec_not base64!", "whsec_é", "whsec_A", "a-b_c", "\udce9"])
def test_a_secret_that_is_not_base64_serves_the_documented_dialect_only(value: str) -> None:
    """The settings warn about it; verifying goes on with the secrets that are usable."""
    secret = Secret(value)
    assert check(signed(Dialect.DOCUMENTED, secret), secret).dialect is Dialect.DOCUMENTED
    with pytest.raises(SignatureError):
        signed(Dialect.SVIX, secret)
    with pytest.raises(SignatureError):
        check(signed(Dialect.SVIX), secret)


def test_a_secret_is_never_shown() -> None:
    """Its label is a short hash, the same for the same secret."""
    label = "s~" + hashlib.sha256(WHSEC.value.encode()).hexdigest()[:8]
    assert WHSEC.label == label
    assert Secret(WHSEC.value) == WHSEC
    for text in (repr(WHSEC), str(WHSEC), f"{[WHSEC]}"):
        assert WHSEC.value[6:] not in text
        assert label in text


@DIALECTS
def test_an_error_shows_nothing_of_the_request(dialect: Dialect) -> None:
    """Messages are fixed sentences that end in what to do next."""
    with pytest.raises(LedgerError) as caught:
        check(signed(dialect, OTHER))
    for secret in (*signed(dialect, OTHER).values(), WHSEC.value, WHSEC.label):
        assert secret not in str(caught.value)


def test_no_headers_and_no_secrets_are_refused() -> None:
    """Without a signature, or without a secret, nothing is proved."""
    assert refusal({}) == "unsigned"
    with pytest.raises(SignatureError, match="LEDGER_WEBHOOK_SECRETS"):
        verify(signed(Dialect.SVIX).items(), BODY, (), now=NOW)


def test_the_quarantine_takes_complete_dialects_with_a_near_time_only() -> None:
    """A wrong secret is the one fault that it can heal."""

    def kept(headers: dict[str, str]) -> bool:
        return complete_dialect(headers.items(), now=NOW, tolerance=300)

    for dialect in Dialect:
        assert kept(signed(dialect, OTHER, age=300))
        assert kept(signed(dialect, OTHER, age=-300))
        assert not kept(signed(dialect, OTHER, age=301))
        assert not kept(signed(dialect, OTHER, age=-301))
    assert kept(signed(Dialect.DOCUMENTED, OTHER) | signed(Dialect.SVIX, OTHER))
    assert not kept(signed(Dialect.DOCUMENTED) | {"svix-id": ID})
    assert not kept({})


@pytest.mark.parametrize("stamp", [-1, 10**12])
def test_a_time_that_no_receiver_reads_is_not_signed(stamp: int) -> None:
    """Signing refuses what verifying would refuse, a missing id included."""
    with pytest.raises(SignatureError):
        sign(Dialect.DOCUMENTED, WHSEC, BODY, stamp=stamp)
    with pytest.raises(SignatureError):
        sign(Dialect.SVIX, WHSEC, BODY, stamp=NOW)


NAMES = st.sampled_from(
    ["OFAuth-Signature", "ofauth-signature"]
    + [
        f"{family}-{part}"
        for family in FAMILY.values()
        for part in ("id", "timestamp", "signature")
    ]
)
TEXT = st.text(st.characters(), max_size=80) | st.binary(max_size=80).map(
    lambda octets: octets.decode("latin-1")
)
NEARLY = st.sampled_from([value for dialect in Dialect for value in signed(dialect).values()])


@settings(max_examples=400, deadline=None)
@given(
    headers=st.lists(st.tuples(NAMES | TEXT, TEXT | NEARLY), max_size=8),
    body=st.binary(max_size=200),
    secret=st.text(st.characters(codec="ascii"), max_size=40),
)
def test_garbage_raises_signature_errors_only(
    headers: list[tuple[str, str]], body: bytes, secret: str
) -> None:
    """Arbitrary header text, arbitrary bytes and any secret never raise anything else."""
    with pytest.raises(SignatureError):
        verify(headers, body, (WHSEC, Secret(secret)), now=NOW)
    assert complete_dialect(headers, now=NOW, tolerance=300) in (True, False)
