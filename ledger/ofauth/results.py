"""What the provider's good answers say, and reading it out of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.ofauth.answers import Answer, failure
from ledger.ofauth.errors import ProviderError
from ledger.ofauth.fields import millis
from ledger.ofauth.text import is_storable

MOST_URL: Final = 4096
"""The longest address of a Link session, in characters."""
_URL: Final = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One page of the provider's list of connections."""

    rows: list[dict[str, Any]] = field(repr=False)
    """The rows as sent; each has an `id`."""
    has_more: bool
    """Whether the provider says that there are further rows."""
    answered: int
    """When the provider answered, milliseconds since the epoch, UTC."""
    dated: bool
    """Whether that is by the provider's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """Whose API key it is."""

    id: str
    name: str | None
    answered: int
    """When the provider answered, milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A call about one connection was answered 2xx."""

    answered: int
    """When the provider answered, milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStarted:
    """A Link session began."""

    url: str = field(repr=False)
    """Where the creator logs in: whoever has it can."""
    expires_at: int | None
    """When it lapses, milliseconds since the epoch, UTC; None when the provider does not say."""
    answered: int
    """When the provider answered, milliseconds since the epoch, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """An answer to be handed on as it is; it may hold secrets, so none of it is shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Those that may be handed on: content type, rate limits and `Retry-After`; in any case."""
    body: bytes = field(repr=False)
    answered: int
    """When the provider answered, milliseconds since the epoch, UTC."""

    def failure(self, *, names_connection: bool) -> ProviderError | None:
        """Give the error that it is; None for 2xx.

        `names_connection` tells whether the call named a connection.
        """
        return failure(self._answer(), names_connection=names_connection)

    def confirmation(self) -> Confirmed:
        """Read that a command about one connection was done.

        Raises:
            ProviderError: it says something else, or cannot be read.
        """
        failed = self.failure(names_connection=True)
        if failed is not None:
            raise failed
        return read_confirmation(self._answer())

    def link(self) -> LinkStarted:
        """Read the beginning of a Link session.

        Raises:
            UnreadableAnswer: it has no address.
        """
        return read_link(self._answer())

    def _answer(self) -> Answer:
        return Answer(
            status=self.status,
            headers=self.headers,
            body=self.body,
            asked=self.answered,
            commands=True,
        )


def read_page(answer: Answer) -> ListPage:
    """Read a page of the list.

    Raises:
        UnreadableAnswer: it does not have the published form.
    """
    body = answer.members()
    rows, more = body.get("list"), body.get("hasMore")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise answer.unreadable("list: not a list of rows with ids")
    if more is None and "nextOffset" in body:
        more = body["nextOffset"] is not None
    if not isinstance(more, bool):
        raise answer.unreadable("hasMore: missing or not true or false")
    return ListPage(rows=rows, has_more=more, answered=answer.answered, dated=answer.dated)


def read_organisation(answer: Answer) -> Organisation:
    """Read whose key it is.

    Raises:
        UnreadableAnswer: it does not have the published form.
    """
    body = answer.members()
    id, name = body.get("id"), body.get("name")
    if not isinstance(id, str) or not id or not is_storable(id):
        raise answer.unreadable("id: missing or not a text")
    return Organisation(
        id=id, name=name if isinstance(name, str) else None, answered=answer.answered
    )


def read_confirmation(answer: Answer) -> Confirmed:
    """Read the answer to a command: nothing, JSON or plain text, whose content does not matter.

    A 2xx with anything else, such as a gateway's page, proves nothing.

    Raises:
        UnreadableAnswer: it is something else.
    """
    plain = answer.headers.get("Content-Type", "").lower().startswith("text/plain")
    if answer.body.strip() and not plain:
        answer.value()
    return Confirmed(answered=answer.answered)


def read_settings(answer: Answer) -> Confirmed:
    """Read the settings of a connection, of which only their existence counts.

    Raises:
        UnreadableAnswer: they are no object.
    """
    answer.members()
    return Confirmed(answered=answer.answered)


def read_link(answer: Answer) -> LinkStarted:
    """Read the beginning of a Link session; an end that cannot be read counts as not said.

    Raises:
        UnreadableAnswer: it has no address.
    """
    body = answer.members()
    url, expires = body.get("url"), body.get("expiresAt")
    if not isinstance(url, str) or len(url) > MOST_URL or not _URL.fullmatch(url):
        raise answer.unreadable("url: missing or not an http(s) address")
    return LinkStarted(
        url=url,
        expires_at=millis(expires) if isinstance(expires, str) else None,
        answered=answer.answered,
    )


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and bool(row["id"])
