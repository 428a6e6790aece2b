"""One call to the provider's HTTP API, with all that is needed to carry it out."""

from dataclasses import dataclass, field

from api.emulator.calls import Call
from api.emulator.errors import SessionExpired, SessionNotProvided, UnknownConnection
from api.emulator.links import Links
from api.emulator.listing import Listing
from api.emulator.manner import Expired, Gone, Manner
from api.emulator.organisation import Organisation
from api.emulator.vault import Vault
from api.emulator.world import Connection


@dataclass(slots=True)
class Account:
    """What one key gives access to."""

    organisation: Organisation
    links: Links
    listing: Listing
    vaults: dict[str, Vault] = field(default_factory=dict)
    """Settings by connection id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A call whose key was good and whose route was found."""

    call: Call
    account: Account
    manner: Manner
    argument: str
    """The variable part of the path."""
    whole: bool
    """Whether it came on the path `/v2/account`, which tells more."""
    base: str
    """The address under which the call reached the emulator."""
    now: int
    """Milliseconds since the epoch, UTC."""

    def existing(self) -> Connection:
        """Find the connection that the call names.

        Raises:
            UnknownConnection: there is none.
            SessionNotProvided: the same, by the setting `gone`.
        """
        try:
            return self.account.organisation.world.get(self.argument)
        except UnknownConnection:
            if self.manner.gone is Gone.NO_SESSION:
                raise SessionNotProvided from None
            raise

    def named(self) -> Connection:
        """Find it and let the setting `expired` have its say.

        Raises:
            UnknownConnection: there is none.
            SessionNotProvided: the same, or it is expired, by the settings.
            SessionExpired: it is expired, by the setting.
        """
        known = self.existing()
        if known.status == "expired" and self.manner.expired is Expired.NO_SESSION:
            raise SessionNotProvided
        if known.status == "expired" and self.manner.expired is Expired.EXPIRED:
            raise SessionExpired
        return known
