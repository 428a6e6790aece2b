"""The emulator's controls, settings and faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, fields
from enum import StrEnum
from inspect import getdoc
from typing import Any

from flask import Flask

from api.emulator.app import create_emulator_app
from api.emulator.delivery import Style
from api.emulator.emulator import Emulator
from api.emulator.faults import FAULTS
from api.emulator.manner import Manner
from docs.generator.docstrings import attributes
from docs.generator.pages import Parts, code, described, table
from ledger.ofauth.signatures import Secret


def parts() -> Parts:
    """Give the tables of the emulator's page."""
    return {
        "controls": _controls(_unused()),
        "deliveries": _settings(Style()),
        "answers": _settings(Manner()),
        "faults": table(
            ["fault", "what its value means"],
            [
                [code(name), f"{meaning[0].upper()}{meaning[1:]}."]
                for name, meaning in FAULTS.items()
            ],
        ),
    }


def _unused() -> Flask:
    emulator = Emulator(
        seed=0, now=lambda: 0, monotonic=lambda: 0.0, secret=Secret("unused"), send=None
    )
    return create_emulator_app(emulator, sleep=lambda _seconds: None)


def _controls(app: Flask) -> str:
    rows = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/_emulator"):
            [method] = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            path = rule.rule.replace("<", "{").replace(">", "}").replace("connection_id", "id")
            name = f"{method} {path.replace('secret', 'clientSecret')}"
            rows.append([code(name), described(name, getdoc(app.view_functions[rule.endpoint]))])
    return table(["control", "does"], rows)


def _settings(holder: Any) -> str:
    known = attributes(type(holder))
    rows = [
        [
            code(one.name),
            _word(one.default),
            _values(one),
            described(one.name, known[one.name].text),
        ]
        for one in fields(holder)
    ]
    return table(["setting", "default", "values", "meaning"], rows)


def _values(setting: Field[Any]) -> str:
    default, choices = setting.default, setting.metadata.get("choices")
    if isinstance(default, StrEnum):
        return _either(type(default))
    if isinstance(default, tuple):
        return "a list of texts" if choices is None else f"some of {_either(choices)}"
    if choices is not None:
        return _either(choices)
    if isinstance(default, bool):
        return _either(("true", "false"))
    if default is None:
        return "a text, or `null`"
    kind = "whole numbers" if isinstance(default, int) else "numbers"
    least, most = setting.metadata.get("least", 0), setting.metadata.get("most", 3600)
    return f"{kind} from {least} to {most}"


def _either(values: Iterable[str]) -> str:
    return ", ".join(map(code, values))


def _word(value: object) -> str:
    if value is None:
        return code("null")
    if isinstance(value, bool):
        return code(str(value).lower())
    return code("[]" if value == () else str(value))
