"""The calls about connections: what each does, and its answer when nothing goes wrong."""

from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from api.emulator.calls import Answer, read_texts, read_typed
from api.emulator.errors import BadRequest, SessionExpired, SessionNotProvided
from api.emulator.listing import Asked, list_row
from api.emulator.vault import Vault
from api.emulator.visit import Visit
from api.emulator.world import Action, Connection, Details

_COOKIES: Final = ("auth_id", "sess", "fp")
"""What the session of an import must hold."""


def whoami(visit: Visit) -> Answer:
    """Say whose key it is."""
    organisation = visit.account.organisation
    permissions = ["connections:read", "connections:write"]
    return Answer.of({"id": organisation.id, "name": organisation.name, "permissions": permissions})


def list_page(visit: Visit) -> Answer:
    """Give a page of the list."""
    manner = visit.manner
    asked = Asked.read(visit.call, manner)
    found, more = visit.account.listing.page(asked, manner)
    rows = [list_row(one, manner, account=visit.whole, now=visit.now) for one in found]
    page: dict[str, Any] = {"list": rows, "hasMore": more}
    if more and manner.nextOffset:
        page["nextOffset"] = asked.offset + len(rows)
    return Answer.of(page)


def delete(visit: Visit) -> Answer:
    """Log the creator out and stop billing."""
    return _command(visit, visit.account.organisation.delete)


def invalidate(visit: Visit) -> Answer:
    """Log the creator out and keep the record."""
    return _command(visit, visit.account.organisation.invalidate)


def read_settings(visit: Visit) -> Answer:
    """Give a connection's settings."""
    known = visit.named()
    return Answer.of(visit.account.vaults.get(known.id, Vault()).as_json(known.id))


def change_settings(visit: Visit) -> Answer:
    """Change a connection's settings."""
    known = visit.named()
    vault = visit.account.vaults.setdefault(known.id, Vault())
    vault.change(visit.call.json())
    return Answer.of({"settings": vault.as_json(known.id)})


def import_session(visit: Visit) -> Answer:
    """Take over a session that somebody else manages."""
    body = visit.call.json()
    details = Details(
        client_reference_id=read_typed(body, "clientReferenceId", str),
        user_data={"id": _upstream_account(body)},
        permissions=read_texts(body, "permissions"),
    )
    organisation = visit.account.organisation
    made = organisation.create(details, imported=True, told=visit.manner.importsTold)
    organisation.effects.imported[made.id] += 1
    return _row(visit, made)


def refresh_import(visit: Visit) -> Answer:
    """Renew the session of an imported connection."""
    known = visit.existing()
    if not known.imported:
        raise BadRequest("The connection was not imported.")
    if _upstream_account(visit.call.json()) != known.account:
        raise BadRequest("The session belongs to another user.")
    organisation = visit.account.organisation
    told = visit.manner.importsTold
    renewed = organisation.act(known.id, Action.RECONNECT, told=told)
    organisation.effects.imported[known.id] += 1
    return _row(visit, renewed)


def confirmation(visit: Visit) -> Answer:
    """Say that it is done."""
    empty = visit.manner.emptyConfirmation
    return Answer(status=204) if empty else Answer.of({"success": True})


def _command(visit: Visit, act: Callable[[str], None]) -> Answer:
    try:
        visit.named()
    except (SessionNotProvided, SessionExpired):
        if visit.manner.refusedActs and visit.account.organisation.world.exists(visit.argument):
            act(visit.argument)
        raise
    act(visit.argument)
    return confirmation(visit)


def _row(visit: Visit, one: Connection) -> Answer:
    return Answer.of(list_row(one, visit.manner, account=True, now=visit.now))


def _upstream_account(body: Mapping[str, Any]) -> str:
    """Find whose session an import brings."""
    try:
        cookie = SimpleCookie(read_typed(body, "cookie", str))
    except CookieError:
        cookie = SimpleCookie()
    if any(name not in cookie for name in _COOKIES):
        raise BadRequest(f"cookie does not hold {', '.join(_COOKIES)}.")
    if read_typed(body, "userAgent", str) is None:
        raise BadRequest("userAgent is missing.")
    return cookie["auth_id"].value
