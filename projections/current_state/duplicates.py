"""Which connections are duplicates: live ones of one upstream account, each of which is billed."""

from collections import defaultdict
from collections.abc import Iterable

from ledger.domain.account import account_of
from ledger.domain.connection import Connection
from projections.answers import ConnectionView
from projections.current_state.document import age


def billed_account(connection: Connection) -> str | None:
    """Give the account that a connection is billed for; None when it cannot be a duplicate.

    One that is deleted or imported cannot, nor one whose account nobody has told.
    """
    return account_of(connection) if is_billed(connection) else None


def is_billed(connection: Connection) -> bool:
    """Tell whether a connection is billed, for whatever account."""
    return connection.live and connection.fields.get("imported") is not True


def oldest_others(billed: Iterable[tuple[str, ConnectionView]]) -> dict[str, str]:
    """Give for each duplicate among connections, of which the account is given, the oldest other.

    By id. Those that share their account with no other are left out.
    """
    sharing: dict[str, list[ConnectionView]] = defaultdict(list)
    for account, view in billed:
        sharing[account].append(view)
    found = {}
    for views in sharing.values():
        views.sort(key=age)
        for view in views[1:]:
            found[view.id] = views[0].id
        if len(views) > 1:
            found[views[0].id] = views[1].id
    return found
