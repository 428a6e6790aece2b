"""A second implementation of `OFAuth-Signature`, for tests: HMAC written out after RFC 2104.

It imports nothing from the ledger, and not the module `hmac` either.
"""

from hashlib import sha256

BLOCK = 64


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, section 2: H((K xor opad) || H((K xor ipad) || message))."""
    if len(key) > BLOCK:
        key = sha256(key).digest()
    key += bytes(BLOCK - len(key))
    inner = sha256(bytes(octet ^ 0x36 for octet in key) + message).digest()
    return sha256(bytes(octet ^ 0x5C for octet in key) + inner).digest()


def ofauth_signature(key: bytes, seconds: int, body: bytes) -> str:
    """The value of an `OFAuth-Signature` header for a body sent at that Unix time."""
    signed = b"%d." % seconds + body
    digits = "".join(f"{octet:02x}" for octet in hmac_sha256(key, signed))
    return f"t={seconds},v1={digits}"
