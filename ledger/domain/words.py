"""Names that several parts must spell alike: stream ids and the short forms that logs print."""

import hashlib
import hmac

CONNECTION = "connection:"
DELIVERY = "delivery:"
LINK = "link:"
SWEEP = "sweep:"
CLIENT = "client:"


def connection_stream(connection_id: str) -> str:
    """Name the stream of a connection."""
    return CONNECTION + connection_id


def connection_of(stream: str) -> str:
    """Give the connection id of a connection's stream."""
    return stream.removeprefix(CONNECTION)


def link_stream(link_id: str) -> str:
    """Name the stream of a Link session."""
    return LINK + link_id


def link_of(stream: str) -> str:
    """Give the id of a Link session from the name of its stream."""
    return stream.removeprefix(LINK)


def client_stream(reference: str, store_key: bytes) -> str:
    """Name the stream of a client, which does not tell the reference to who lacks the store."""
    digest = hmac.new(store_key, b"client\0" + reference.encode(), hashlib.sha256).hexdigest()
    return CLIENT + digest[:32]


def account_key(account: str, store_key: bytes) -> str:
    """Give what a view keeps of an upstream account's id: 32 hex digits that need the store's key.

    It tells connections of one account, and does not tell the account.
    """
    digest = hmac.digest(
        store_key, b"account\0" + account.encode("utf-8", "surrogatepass"), "sha256"
    )
    return digest[:16].hex()


def message_label(message_id: str) -> str:
    """Give what an event keeps of the provider's message id: `m~` and 16 hex digits of SHA-256."""
    return f"m~{hashlib.sha256(message_id.encode()).hexdigest()[:16]}"


def short_id(connection_id: str, store_key: bytes) -> str:
    """Give the form of a connection id that may be printed: `conn~` and 8 hex digits.

    A connection id is a credential at the provider, so logs never show one. `store_key` is the
    store's own random key, so the short form cannot be computed without the store.
    """
    digest = hmac.digest(store_key, connection_id.encode(), "sha256")
    return f"conn~{digest[:4].hex()}"
