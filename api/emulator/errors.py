"""What the emulator refuses, in the provider's words; `app` gives them the provider's form."""

from typing import ClassVar

from ledger.domain.errors import LedgerError


class Refused(LedgerError):
    """A call that the emulator does not carry out; the message goes into the answer."""

    type: ClassVar[str]
    """The provider's type word."""
    status: ClassVar[int]
    """The HTTP status of the answer."""


class BadRequest(Refused):
    """The call's parameters or body cannot be used."""

    type = "BAD_REQUEST"
    status = 400


class Unauthorized(Refused):
    """The call has no API key, or another one than the emulator was started with."""

    type = "UNAUTHORIZED"
    status = 401

    def __init__(self) -> None:
        super().__init__("Missing or invalid API key. Send the header `apikey: <key>`.")


class UnknownConnection(Refused):
    """The call names a connection that does not exist, or exists no more."""

    type = "RESOURCE_NOT_FOUND"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "No connection has this id. Take one from GET /_emulator/truth; a disconnected one "
            "is gone for good."
        )
