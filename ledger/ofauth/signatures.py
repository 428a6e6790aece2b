"""Signatures of OFAuth's deliveries, every dialect: bytes in, verdict out.

The header grammar is strict on purpose: whatever is not exactly one of the published forms is
refused before a key is touched, and signatures are compared as *encoded text*.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ledger.domain.errors import LedgerError

DEFAULT_TOLERANCE = 300
"""Seconds between a signature's time and ours beyond which it is delayed, or in the future."""

_PREFIX = "whsec_"
_DOCUMENTED_HEADER = "OFAuth-Signature"
_MOST_STAMP = 10**12 - 1

_ID = re.compile(r"[!-~]{1,256}")
_STAMP = re.compile(r"[0-9]{1,12}")
_DOCUMENTED = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
_ENTRY = r"v[0-9]+[A-Za-z]?,[A-Za-z0-9+/]+={0,2}"
_SIGNATURES = re.compile(rf"{_ENTRY}(?: {_ENTRY}){{0,15}}")
_REFRAMED = re.compile(rb"[0-9]{10,12}\.")


class Dialect(StrEnum):
    """The ways in which OFAuth signs a delivery, in the order in which verdicts list them."""

    DOCUMENTED = "documented"
    SVIX = "svix"
    STANDARD = "standard"


class Reason(StrEnum):
    """Why a request is not accepted, in one fixed word."""

    UNSIGNED = "unsigned"
    INCOMPLETE = "incomplete"
    DOUBLED = "doubled"
    MALFORMED = "malformed"
    MISMATCH = "mismatch"
    FUTURE = "future"
    DELAYED = "delayed"
    UNSIGNABLE = "unsignable"


_MESSAGES = {
    Reason.UNSIGNED: "The request carries no signature header. Send OFAuth-Signature, or the three "
    "svix-* or webhook-* headers.",
    Reason.INCOMPLETE: "A signature header is missing, expected id, timestamp and signature of one "
    "family. Check that no proxy removes svix-* or webhook-* headers.",
    Reason.DOUBLED: "A signature header occurs twice, expected once. Check that no proxy adds it.",
    Reason.MALFORMED: "A signature header does not have its published form. Check that the sender "
    "is OFAuth and that no proxy rewrites headers.",
    Reason.MISMATCH: "No configured secret made this signature. Compare the signing secret in "
    "OFAuth's dashboard with LEDGER_WEBHOOK_SECRETS; both may be set during a rotation.",
    Reason.FUTURE: "The signature's time lies too far in the future. Check this machine's clock.",
    Reason.DELAYED: "The signature is older than the tolerance. Raise "
    "LEDGER_WEBHOOK_TOLERANCE_SECONDS or unset LEDGER_STRICT_TIMESTAMPS to accept late retries.",
    Reason.UNSIGNABLE: "Nothing can be signed from this input. Give a whsec_<base64> secret, a "
    "time of at most 12 digits and a message id of 1 to 256 visible ASCII characters.",
}


class SignatureError(LedgerError):
    """A request's signature is not accepted; `reason` says why in one fixed word."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_MESSAGES[reason])
        self.reason = reason


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A signing secret with its keys made ready; only `label` may be shown or logged."""

    value: str
    label: str = field(init=False, compare=False)
    """`s~` and 8 hex digits of the value's SHA-256: the same over restarts and rotations."""
    _documented: tuple[hmac.HMAC, ...] = field(init=False, compare=False)
    _decoded: tuple[hmac.HMAC, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # surrogateescape: the environment hands over undecodable bytes in that form
        raw = self.value.encode("utf-8", "surrogateescape")
        whole, decoded = _mac(raw if self.value != _PREFIX else b""), _mac(_decode(self.value))
        both = self.value.startswith(_PREFIX)
        object.__setattr__(self, "label", f"s~{hashlib.sha256(raw).hexdigest()[:8]}")
        object.__setattr__(self, "_documented", whole + decoded if both else whole)
        object.__setattr__(self, "_decoded", decoded)

    def __repr__(self) -> str:
        return f"Secret({self.label})"

    def macs(self, dialect: Dialect) -> tuple[hmac.HMAC, ...]:
        """Keyed, unused MACs that may sign the dialect (copy them); empty when there are none."""
        return self._documented if dialect is Dialect.DOCUMENTED else self._decoded


@dataclass(frozen=True, slots=True)
class Verification:
    """One dialect that verified."""

    dialect: Dialect
    stamp: int
    """The signature's time in seconds since the epoch, UTC."""
    message_id: str | None
    """The delivery's id, signed along with the body; the documented dialect has none."""
    secret: str
    """The label of the secret that verified it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verified request proves."""

    verifications: tuple[Verification, ...]
    """Each dialect that verified, in the order of `Dialect`; never empty."""
    delayed: bool
    """Whether every verified time is older than the tolerance."""

    @property
    def dialect(self) -> Dialect:
        """The first dialect that verified."""
        return self.verifications[0].dialect

    @property
    def stamp(self) -> int:
        """The smallest verified time, in seconds since the epoch, UTC."""
        return min(one.stamp for one in self.verifications)

    @property
    def message_id(self) -> str | None:
        """The first message id whose own dialect verified."""
        return next((one.message_id for one in self.verifications if one.message_id), None)


class _Presented(NamedTuple):
    """One complete, well-formed dialect of a request, not yet verified."""

    dialect: Dialect
    message_id: str | None
    stamp: str
    signatures: tuple[bytes, ...]


class _Family(NamedTuple):
    """The header names of a dialect with message ids, as sent and in lower case."""

    dialect: Dialect
    message_id: str
    stamp: str
    signature: str


_FAMILIES = tuple(
    _Family(dialect, f"{name}-id", f"{name}-timestamp", f"{name}-signature")
    for dialect, name in ((Dialect.SVIX, "svix"), (Dialect.STANDARD, "webhook"))
)
_DOCUMENTED_NAME = _DOCUMENTED_HEADER.lower()
_NAMES = frozenset({_DOCUMENTED_NAME, *(name for family in _FAMILIES for name in family[1:])})


def verify(
    headers: Iterable[tuple[str, str]],
    body: bytes,
    secrets: Sequence[Secret],
    *,
    now: float,
    tolerance: int = DEFAULT_TOLERANCE,
    strict: bool = False,
) -> Verdict:
    """Check a request's headers against its raw body and every secret.

    `now` is in seconds since the epoch, UTC, and `tolerance` in seconds. A dialect that is
    complete but that no secret verifies is not counted, provided another one verifies.

    Raises:
        SignatureError: nothing verified, a header is missing, doubled or malformed, a verified
            time is over `tolerance` in the future or, when `strict`, all are older than that.
    """
    presented = _read(headers)
    # `id.time.body` with the time moved into the body is the same signed text under a shorter id
    # (or, with an id of digits, in the documented dialect): no JSON document begins like this.
    if _REFRAMED.match(body):
        raise SignatureError(Reason.MALFORMED)
    checked = [_check(one, body, secrets) for one in presented]
    verifications = [one for one in checked if one is not None]
    if not verifications:
        raise SignatureError(Reason.MISMATCH)
    newest = max([one.stamp for one in verifications])
    if newest > now + tolerance:
        raise SignatureError(Reason.FUTURE)
    delayed = newest < now - tolerance
    if delayed and strict:
        raise SignatureError(Reason.DELAYED)
    return Verdict(tuple(verifications), delayed)


def complete_dialect(
    headers: Iterable[tuple[str, str]], *, now: float, tolerance: int = DEFAULT_TOLERANCE
) -> bool:
    """Tell whether the headers could be OFAuth's, so that an unverified request is worth keeping.

    True when every dialect present is complete and well-formed and at least one has a time within
    `tolerance` seconds of `now` (seconds since the epoch, UTC). Never raises.
    """
    try:
        presented = _read(headers)
    except SignatureError:
        return False
    return any(abs(int(one.stamp) - now) <= tolerance for one in presented)


def sign(
    dialect: Dialect,
    secret: Secret,
    body: bytes,
    *,
    stamp: int,
    message_id: str | None = None,
    decoded: bool = False,
) -> dict[str, str]:
    """Make the headers that sign a body, `stamp` in seconds since the epoch, UTC.

    `decoded` lets the documented dialect use the base64 part of a `whsec_` secret as its key
    instead of the whole string; the other dialects always do, and they need a `message_id`.

    Raises:
        SignatureError: the secret has no such key, or the time or message id is not sendable.
    """
    macs = secret.macs(Dialect.SVIX if decoded else dialect)
    if not macs or not 0 <= stamp <= _MOST_STAMP:
        raise SignatureError(Reason.UNSIGNABLE)
    if dialect is Dialect.DOCUMENTED:
        digest = _digest(macs[0], None, str(stamp), body)
        return {_DOCUMENTED_HEADER: f"t={stamp},v1={digest.hex()}"}
    if message_id is None or not _ID.fullmatch(message_id):
        raise SignatureError(Reason.UNSIGNABLE)
    text = base64.b64encode(_digest(macs[0], message_id, str(stamp), body)).decode("ascii")
    family = next(one for one in _FAMILIES if one.dialect is dialect)
    return {family.message_id: message_id, family.stamp: str(stamp), family.signature: f"v1,{text}"}


def sign_all(
    dialects: Iterable[Dialect], secret: Secret, body: bytes, *, stamp: int, message_id: str
) -> dict[str, str]:
    """Make the headers of several dialects at once, `stamp` in seconds since the epoch, UTC.

    Raises:
        SignatureError: as `sign`.
    """
    headers: dict[str, str] = {}
    for dialect in dialects:
        headers |= sign(dialect, secret, body, stamp=stamp, message_id=message_id)
    return headers


def _read(headers: Iterable[tuple[str, str]]) -> list[_Presented]:
    """Every dialect that the headers present, each complete and well-formed."""
    found: dict[str, str] = {}
    for sent, value in headers:
        name = sent.lower()
        if name in _NAMES:
            if name in found:
                raise SignatureError(Reason.DOUBLED)
            found[name] = value
    presented = []
    documented = found.get(_DOCUMENTED_NAME)
    if documented is not None:
        match = _DOCUMENTED.fullmatch(documented)
        if match is None:
            raise SignatureError(Reason.MALFORMED)
        presented.append(_Presented(Dialect.DOCUMENTED, None, match[1], (match[2].encode(),)))
    for family in _FAMILIES:
        one = _read_family(family, found)
        if one is not None:
            presented.append(one)
    if not presented:
        raise SignatureError(Reason.UNSIGNED)
    return presented


def _read_family(family: _Family, found: dict[str, str]) -> _Presented | None:
    """The dialect of one family of three headers, or None when none of them was sent."""
    _, id_name, stamp_name, signature_name = family
    message_id, stamp = found.get(id_name), found.get(stamp_name)
    signature = found.get(signature_name)
    if message_id is None or stamp is None or signature is None:
        if message_id is None and stamp is None and signature is None:
            return None
        raise SignatureError(Reason.INCOMPLETE)
    if not (
        _ID.fullmatch(message_id) and _STAMP.fullmatch(stamp) and _SIGNATURES.fullmatch(signature)
    ):
        raise SignatureError(Reason.MALFORMED)
    entries = [one[3:].encode() for one in signature.split(" ") if one.startswith("v1,")]
    return _Presented(family.dialect, message_id, stamp, tuple(entries))


def _check(presented: _Presented, body: bytes, secrets: Sequence[Secret]) -> Verification | None:
    """The verification by the first secret that made one of the presented signatures."""
    dialect, message_id, stamp, signatures = presented
    for secret in secrets:
        for mac in secret.macs(dialect):
            digest = _digest(mac, message_id, stamp, body)
            # The encoded form is compared: base64's last character has bits that decoding drops.
            if dialect is Dialect.DOCUMENTED:
                expected = digest.hex().encode()
            else:
                expected = base64.b64encode(digest)
            for one in signatures:
                if hmac.compare_digest(expected, one):
                    return Verification(dialect, int(stamp), message_id, secret.label)
    return None


def _digest(mac: hmac.HMAC, message_id: str | None, stamp: str, body: bytes) -> bytes:
    """HMAC-SHA256 of `stamp.body`, or of `id.stamp.body`, with a copy of a keyed MAC."""
    keyed = mac.copy()
    keyed.update((f"{stamp}." if message_id is None else f"{message_id}.{stamp}.").encode() + body)
    return keyed.digest()


def _mac(key: bytes) -> tuple[hmac.HMAC, ...]:
    """A MAC under the key; none under the empty key, with which anybody could sign."""
    return (hmac.new(key, digestmod="sha256"),) if key else ()


def _decode(value: str) -> bytes:
    """The base64 part of a secret, padding optional; empty when it is not base64."""
    text = value.removeprefix(_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""
