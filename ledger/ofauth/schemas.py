"""The marshmallow schemas of what OFAuth says about a connection, in webhooks and in list rows.

Unknown fields are no error: `facts` keeps them. Error messages name kinds, never what was sent.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from marshmallow import EXCLUDE, Schema, ValidationError

from ledger.domain.status import PROVIDER_STATUSES, Status
from ledger.ofauth.fields import Flag, Members, Moment, Text, Texts
from ledger.ofauth.text import Unreadable

MAX_ID: Final = 256
"""Characters of a connection id."""
MAX_TEXT: Final = 512
"""Characters of a reference, or of another short text."""


class ConnectionSchema(Schema):
    """What webhooks and list rows state alike."""

    error_messages = {"type": "not an object"}  # noqa: RUF012 - as marshmallow declares it

    id = Text(MAX_ID)
    status = Text(MAX_TEXT)
    permissions = Texts()
    platformUserId = Text(MAX_TEXT)
    userData = Members()
    clientReferenceId = Text(MAX_TEXT)


class WebhookSchema(ConnectionSchema):
    """A webhook about a connection, after `shapes.flatten`; its type is read before."""

    timestamp = Moment()
    live = Flag()
    userId = Text(MAX_TEXT)


class RowSchema(ConnectionSchema):
    """A row of the provider's connection list."""

    createdAt = Moment()
    updatedAt = Moment()
    expiredAt = Moment()
    lastCheckedAt = Moment()
    imported = Flag()


WEBHOOK: Final = WebhookSchema(unknown=EXCLUDE)
ROW: Final = RowSchema(unknown=EXCLUDE)


def load(schema: Schema, value: Any, paths: Mapping[str, str]) -> dict[str, Any]:
    """Read a value by its schema; the result has a connection id.

    `paths` says where members were found, when not under their own names.

    Raises:
        Unreadable: the value does not have that form; the detail names fields and kinds.
    """
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        found = [
            f"{paths.get(name, name)}: {messages[0]}"
            for name, messages in error.messages_dict.items()
        ]
        raise Unreadable("bad_shape", "; ".join(sorted(found))) from None
    if not loaded.get("id"):
        raise Unreadable("bad_shape", f"{paths.get('id', 'id')}: missing or empty")
    return loaded


class Facts(NamedTuple):
    """What a source states about a connection, in the form of a claim."""

    status: Status | None
    fields: dict[str, Any]
    personal: dict[str, Any]
    flags: tuple[str, ...]


_CARRIED: Final = frozenset(
    {
        "clientReferenceId",
        "platformUserId",
        "permissions",
        "createdAt",
        "updatedAt",
        "imported",
        "lastCheckedAt",
    }
)
UNKNOWN_STATUS: Final = "unknown_status"
"""The flag of a claim whose status text is none of the provider's three."""


def facts(known: Mapping[str, Any], extra: Mapping[str, Any]) -> Facts:
    """Sort loaded members into status, fields and what may have to be forgotten.

    Null and empty texts are not carried; null is a value for `avatar` and `expiredAt` only.
    """
    carried = {
        name: value
        for name, value in known.items()
        if name in _CARRIED and value is not None and value != ""
    }
    if "expiredAt" in known:
        carried["expiredAt"] = known["expiredAt"]
    text = known.get("status")
    status = Status(text) if text in PROVIDER_STATUSES else None
    flags: tuple[str, ...] = ()
    if text is not None and status is None:
        carried["providerStatus"] = text
        flags = (UNKNOWN_STATUS,)
    personal: dict[str, Any] = {}
    user_data = _user_data(known.get("userData") or {})
    if user_id := known.get("userId"):
        user_data.setdefault("id", user_id)
    if user_data:
        personal["userData"] = user_data
    if extra:
        personal["extra"] = dict(extra)
    return Facts(status, carried, personal, flags)


def _user_data(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give `userData` under its documented names, without what is absent."""
    present = {name: value for name, value in sent.items() if value is not None or name == "avatar"}
    if "userId" in present and present.get("id", present["userId"]) == present["userId"]:
        present["id"] = present.pop("userId")
    return present
