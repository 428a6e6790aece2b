"""What can go wrong between us and the provider: one type for each thing that a caller can do."""

from typing import ClassVar

from ledger.domain.errors import LedgerError


class ProviderError(LedgerError):
    """A call to the provider did not give what was asked for.

    No message, and no attribute, holds a key, an id, an address or any text of the provider's.
    """

    what: ClassVar[str] = "The provider did not do what it was asked"
    advice: ClassVar[str] = "Ask again later."
    passes: ClassVar[bool] = False
    """Whether it may be over when one asks again, without anybody doing anything."""

    def __init__(
        self,
        detail: str = "",
        *,
        status: int | None = None,
        type: str | None = None,
        request_id: str | None = None,
        answered: int | None = None,
        retry_after: float | None = None,
        may_have_happened: bool = False,
    ) -> None:
        """Say what happened; `detail` is a few words of our own."""
        told = [detail, "" if status is None else str(status), type or "", request_id or ""]
        known = ", ".join(part for part in told if part)
        super().__init__(f"{self.what}{f' ({known})' if known else ''}. {self.advice}")
        self.status = status
        """The HTTP status of the answer; None when none came."""
        self.type = type
        """The provider's word for it, such as `RESOURCE_NOT_FOUND`; None when it gave none."""
        self.request_id = request_id
        """The provider's own id of the call, for its support; None when it gave none."""
        self.answered = answered
        """When the provider answered, milliseconds since the epoch, UTC; None when it did not."""
        self.retry_after = retry_after
        """How many seconds the provider wants to be left alone; None when it does not say."""
        self.may_have_happened = may_have_happened
        """Whether what was asked may be done all the same: the outcome is not known."""


class Unreachable(ProviderError):
    """No answer came: there was no connection, it broke off, or it took too long.

    Without a connection nothing happened; after that `may_have_happened` is true of a command.
    """

    passes = True
    what = "The provider gave no answer"
    advice = "Check LEDGER_OFAUTH_URL, the network and the provider's status page; ask again later."


class RefusedKey(ProviderError):
    """The provider does not accept our API key."""

    what = "The provider does not accept the API key"
    advice = (
        "Copy a valid key from OFAuth's dashboard into LEDGER_OFAUTH_API_KEY, or into the file "
        "that LEDGER_OFAUTH_API_KEY_FILE names, which is read again by itself."
    )


class Forbidden(ProviderError):
    """The provider accepts our API key, but not for this call."""

    what = "The provider does not allow this call"
    advice = (
        "Give the key of LEDGER_OFAUTH_API_KEY the permission in OFAuth's dashboard. If it has it, "
        "something in between, such as a firewall, refused the call."
    )


class RateLimited(ProviderError):
    """Too many calls, by the provider's count or by our own; nothing was done."""

    passes = True
    what = "Too many calls to the provider"
    advice = "Wait (`retry_after` says how long, if it is known) and ask again."


class ConnectionGone(ProviderError):
    """The provider knows no connection of this id: a 404 of the type `RESOURCE_NOT_FOUND`."""

    what = "The provider knows no such connection"
    advice = "If it is absent from a later valid pass too, it is deleted; run a sweep."


class NoSession(ProviderError):
    """The connection has no valid session; this proves neither that it exists nor that it does not.

    `type` tells which: `SESSION_EXPIRED` or `SESSION_NOT_PROVIDED`.
    """

    what = "The connection has no valid session at the provider"
    advice = "Let the creator log in again: reconnect it. To see whether it exists, run a sweep."


class Rejected(ProviderError):
    """The provider refused the call as it is: asked again, it would refuse it again."""

    what = "The provider refused the call"
    advice = (
        "`type` says why, if it is known. For a ROUTE_NOT_FOUND correct LEDGER_OFAUTH_URL or "
        "LEDGER_OFAUTH_PATHS; for a BAD_REQUEST look at what was asked for."
    )


class ProviderFailed(ProviderError):
    """The provider, or a gateway before it, answered 5xx; a command may have been done."""

    passes = True
    what = "The provider failed"
    advice = "Ask again later; see the provider's status page when it lasts."


class UnreadableAnswer(ProviderError):
    """An answer came that is not the provider's: no JSON, another form, too large, a redirect."""

    what = "The answer to a call to the provider could not be read"
    advice = (
        "Check that LEDGER_OFAUTH_URL is the address of OFAuth's API itself, and what stands in "
        "between; ask again later."
    )

    lasting = False
    """Whether it would be the same again at once."""
