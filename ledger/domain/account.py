"""The upstream account that a connection gives access to: what makes two of them duplicates.

The provider says its id in `userData.id`, and in one shape of its webhooks in `platformUserId`.
"""

from collections.abc import Mapping
from typing import Any, Final

from ledger.domain.claim import Claim
from ledger.domain.connection import Connection

PLATFORM_USER: Final = "platformUserId"
_NOTHING: Final[Mapping[str, Any]] = {}


def account_of(connection: Connection) -> str | None:
    """Give the account of a connection: `userData.id`, else `platformUserId`; None if unknown."""
    in_user_data = _text((connection.user_data or _NOTHING).get("id"))
    return in_user_data or _text(connection.fields.get(PLATFORM_USER))


def accounts_in(claim: Claim) -> tuple[str, ...]:
    """Give every account that a claim names, by either of its fields."""
    in_user_data = _text(claim.personal.get("userData", _NOTHING).get("id"))
    on_platform = _text(claim.fields.get(PLATFORM_USER))
    if on_platform in (None, in_user_data):
        return () if in_user_data is None else (in_user_data,)
    return (on_platform,) if in_user_data is None else (in_user_data, on_platform)


def _text(value: Any) -> str | None:
    """Give an id as text; one written as a number is the same id."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
