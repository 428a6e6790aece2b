"""Histories: pages of JSON, or the whole as NDJSON or CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from flask import Response, request, stream_with_context

from api.answers import HistoryEntrySchema
from api.auth import requires
from api.errors import Problem, invalid, missing
from api.moments import settle
from api.pagination import after, body_of, position_headers, through
from api.routes import Routes
from api.schemas import ClientHistoryQuery, is_storable, page_of
from api.services import services
from projections.answers import Answer, Cursor, HistoryEntry, Page
from projections.asking import Histories

blueprint = Routes("history", __name__, description="What happened, in order")
HistoryPage: Final = page_of(HistoryEntrySchema)
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
COLUMNS: Final = tuple(
    field.data_key or name for name, field in HistoryEntrySchema().fields.items()
)

Fetch = Callable[..., Answer[Page[HistoryEntry]] | None]
Ask = Callable[[Histories], Fetch]
"""Chooses the question about a history."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
_STREAMED_AT_ONCE = 500


@blueprint.get("/api/history")
@requires("read")
@blueprint.query(ClientHistoryQuery)
@blueprint.answers(HistoryPage)
def history_by_query(query: dict[str, Any]) -> Any:
    """The history of a client."""
    return client_history(query["client_reference_id"], query)


def client_history(reference: str, query: Mapping[str, Any]) -> Any:
    """Answer a client's history."""
    known = known_text(reference)
    return answer_history(
        lambda questions: partial(questions.client_history, known),
        query,
        missing("This clientReferenceId has never been heard of.", "Check its spelling."),
    )


def known_text(reference: str) -> str:
    """Give back a text of a path that a store can look up.

    Raises:
        Problem: it cannot be in any store.
    """
    if not is_storable(reference):
        raise invalid("clientReferenceId", "holds a character that no id has", "path")
    return reference


def answer_history(ask: Ask, query: Mapping[str, Any], unknown: Problem) -> Any:
    """Answer a history in the form that the request accepts.

    Raises:
        Problem: `unknown` when there is no such history, or as `settle`.
    """
    moment = settle(query)
    form = request.accept_mimetypes.best_match(["application/json", NDJSON, CSV])
    whole = form in (NDJSON, CSV)
    with ExitStack() as stack:
        questions = services().questions
        if whole:
            # All pages of one answer show one moment, and the same generation of the views.
            questions = stack.enter_context(questions.held())
        fetch = partial(
            ask(questions),
            types=tuple(query.get("type") or ()),
            from_ms=query.get("from_"),
            to_ms=query.get("to"),
            as_of_us=moment.as_of_us,
            by=query["by"],
            order=query["order"],
            limit=_STREAMED_AT_ONCE if whole else query["limit"],
        )
        answer = fetch(after=after(query))
        if answer is None:
            raise unknown
        headers = position_headers(answer)
        if not whole:
            return body_of(answer.value), 200, headers
        entries = through(answer.value, partial(_page, fetch))
        lines = ndjson_lines(entries) if form == NDJSON else csv_lines(entries)
        response = Response(stream_with_context(lines), mimetype=form)
        response.headers.update(headers)
        response.call_on_close(stack.pop_all().close)
        return response


def _page(fetch: Fetch, position: Cursor) -> Page[HistoryEntry]:
    answer = fetch(after=position)
    return Page((), None) if answer is None else answer.value


def ndjson_lines(entries: Iterable[HistoryEntry]) -> Iterator[str]:
    """Write entries as one JSON object a line."""
    schema = HistoryEntrySchema()
    for entry in entries:
        yield json.dumps(schema.dump(entry), ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_lines(entries: Iterable[HistoryEntry]) -> Iterator[str]:
    """Write entries as CSV with a heading; no cell is taken for a formula by a spreadsheet."""
    schema = HistoryEntrySchema()
    yield _csv_line(COLUMNS)
    for entry in entries:
        dumped: dict[str, Any] = schema.dump(entry)
        yield _csv_line(_cell(dumped.get(name)) for name in COLUMNS)


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"'{value}" if value.startswith(_FORMULA) else value
