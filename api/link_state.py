"""What tells a browser's return from anybody else's: a cookie that only this store can make."""

import hashlib
import hmac
from typing import Final

from ledger.domain.link_session import is_link_id

COOKIE: Final = "ledger_link"
"""The cookie of a browser that is on its way through a Link session."""
RETURN: Final = "/link/return"
"""The path, below LEDGER_PUBLIC_URL, at which OFAuth sends browsers back; the cookie goes there
only."""


def make_state(link: str, key: bytes) -> str:
    """Give the state of a Link session, which proves that this service began it; `key` is the
    store's.
    """
    return f"{link}.{_mac(link, key)}"


def read_state(text: str | None, key: bytes) -> str | None:
    """Give the id of the session that a state is of; None when this store did not make it."""
    link, _, mac = (text or "").partition(".")
    if not is_link_id(link) or not mac.isascii():
        return None
    return link if hmac.compare_digest(mac, _mac(link, key)) else None


def _mac(link: str, key: bytes) -> str:
    return hmac.new(key, b"link state\0" + link.encode(), hashlib.sha256).hexdigest()
