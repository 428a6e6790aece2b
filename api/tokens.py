"""API tokens: who may ask what. Only SHA-256 digests of tokens are kept in memory."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ledger.domain.errors import LedgerError

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
"""Every scope. None implies another: a token that may do everything lists all three."""

_HASHED = re.compile(r"sha256=([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BAD_NAME = "a token's name must be 1 to 64 of A-Z a-z 0-9 . _ -"


class BadToken(LedgerError):
    """A token's entry cannot be read; the message never repeats the token."""


@dataclass(frozen=True, slots=True)
class Token:
    """One caller: a name for the logs, what it may do, and the digest of its token."""

    name: str
    scopes: frozenset[str]
    digest: str
    """SHA-256 of the token, in hex."""

    def __repr__(self) -> str:
        return f"Token({self.name}:{'+'.join(sorted(self.scopes))})"


def parse_scopes(text: str) -> frozenset[str]:
    """Read `read+write`.

    Raises:
        BadToken: a scope is missing or not one of `SCOPES`.
    """
    scopes = frozenset(text.split("+"))
    if not scopes <= frozenset(SCOPES):
        raise BadToken("scopes must be read, write or admin, joined by +")
    return scopes


def parse_token(entry: str) -> Token:
    """Read `name:scope+scope:token` or `name:scope+scope:sha256=<hex>`.

    Raises:
        BadToken: the entry does not have this form.
    """
    name, _, rest = entry.partition(":")
    scopes, _, secret = rest.partition(":")
    if not secret:
        raise BadToken("an entry must have the form name:scope+scope:token")
    if not _NAME.fullmatch(name):
        raise BadToken(_BAD_NAME)
    hashed = _HASHED.fullmatch(secret)
    if secret.startswith("sha256=") and hashed is None:
        raise BadToken(f"the hash of token {name!r} must be sha256= and 64 lower-case hex digits")
    return Token(name, parse_scopes(scopes), hashed[1] if hashed else digest_of(secret.encode()))


def hashed_entry(name: str, scopes: Iterable[str], token: str) -> str:
    """Give the entry of `LEDGER_API_TOKENS` that accepts `token` without holding it.

    Raises:
        BadToken: the name or a scope is not allowed.
    """
    if not _NAME.fullmatch(name):
        raise BadToken(_BAD_NAME)
    entry = f"{name}:{'+'.join(sorted(scopes))}:sha256={digest_of(token.encode())}"
    parse_token(entry)
    return entry


def digest_of(token: bytes) -> str:
    """Give the SHA-256 of a token, in hex."""
    return hashlib.sha256(token).hexdigest()


def find_token(presented: bytes, tokens: Sequence[Token]) -> Token | None:
    """Give the entry of a presented token, in a time that does not tell which."""
    digest = digest_of(presented)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found
