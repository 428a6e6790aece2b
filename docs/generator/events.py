"""What can be written into the log: events, their fields, and what these are made of."""

from __future__ import annotations

import re
from dataclasses import fields

from docs.generator.docstrings import attributes, own_doc
from docs.generator.pages import Parts, anchor, code, described, table
from ledger.domain.claim import Claim, Evidence, Kind, Statement
from ledger.domain.events import CONNECTION_TYPES, TYPES, ConnectionEvent, Drawn, Event, Signed
from ledger.domain.link_events import LINK_TYPES

INSIDE = (Statement, Claim, Evidence, Signed, Drawn)
"""What a field of an event holds that is no plain value."""

FORMS = {
    "str": "text",
    "int": "whole number",
    "bool": "truth",
    "Mapping[str, Any]": "object",
    "Status": "text",
    "Kind": f"a [kind](#{anchor('Kinds of claim')})",
    **{cls.__name__: f"[{cls.__name__}](#{anchor(cls.__name__)})" for cls in INSIDE},
}
"""By the type in the code: how a value of it looks in a stored event."""


def parts() -> Parts:
    """Give the parts of the page about events."""
    apart = {**CONNECTION_TYPES, **LINK_TYPES}
    return {
        "events": "\n\n".join(_event(cls) for name, cls in TYPES.items() if name not in apart),
        "link events": "\n\n".join(_event(cls) for cls in LINK_TYPES.values()),
        "connection events": _connection_events(),
        "parts of an event": "\n\n".join(f"### {cls.__name__}\n\n{_fields(cls)}" for cls in INSIDE),
        "kinds of claim": table(["kind", "meaning"], _kinds()),
    }


def _event(cls: type[Event]) -> str:
    return f"## {cls.NAME}\n\n{_fields(cls)}"


def _connection_events() -> str:
    types = [
        [code(name), str(cls.VERSION), described(name, own_doc(cls))]
        for name, cls in CONNECTION_TYPES.items()
    ]
    return f"{table(['type', 'version', 'meaning'], types)}\n\n{_fields(ConnectionEvent)}"


def _fields(cls: type) -> str:
    known = attributes(cls)
    version = f" Version {cls.VERSION}." if issubclass(cls, Event) else ""
    rows = [
        [
            code(one),
            form(known[one].annotation),
            described(f"{cls.__name__}.{one}", known[one].text),
        ]
        for one in (field.name for field in fields(cls))
    ]
    return f"{described(cls.__name__, own_doc(cls))}{version}\n\n" + table(
        ["field", "form", "meaning"], rows
    )


def _kinds() -> list[list[str]]:
    known = attributes(Kind)
    return [
        [code(kind.value), described(f"Kind.{kind.name}", known[kind.name].text)] for kind in Kind
    ]


def form(annotation: str) -> str:
    """Say how a value of this type looks in JSON.

    Raises KeyError for a type that nobody has said it of.
    """
    if annotation.endswith(" | None"):
        return f"{form(annotation.removesuffix(' | None'))} or null"
    if many := re.fullmatch(r"tuple\[(\w+), \.\.\.\]", annotation):
        return f"list of {form(many[1])}"
    return FORMS[annotation]
