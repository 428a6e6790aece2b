"""Reads the settings that a control gives, by the kind of each setting's default."""

from collections.abc import Collection, Mapping
from dataclasses import Field, fields
from enum import StrEnum
from typing import Any

from api.emulator.errors import BadRequest


def read_settings(holder: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings given for a dataclass, and give them in their own types.

    A field's metadata may hold `most` (a number's bound) or `choices` (the texts allowed).

    Raises:
        BadRequest: a name is unknown or a value is not one of its kind.
    """
    known = {one.name: one for one in fields(holder)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise BadRequest(f"Unknown setting, expected some of {', '.join(known)}.")
        values[name] = _read(known[name], value)
    return values


def _read(setting: Field[Any], value: Any) -> Any:
    default, choices = setting.default, setting.metadata.get("choices")
    if isinstance(default, StrEnum):
        return _choose(setting.name, value, type(default))(value)
    if choices is not None and isinstance(default, str):
        return _choose(setting.name, value, choices) and value
    if isinstance(default, tuple):
        return _texts(setting.name, value, choices)
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise BadRequest(f"{setting.name} is not true or false.")
    if default is None:
        if value is None or isinstance(value, str):
            return value
        raise BadRequest(f"{setting.name} is neither a text nor null.")
    return _number(setting, value)


def _choose(name: str, value: Any, choices: Any) -> Any:
    if isinstance(value, str) and value in list(choices):
        return choices
    raise BadRequest(f"Unknown {name}, expected one of {', '.join(choices)}.")


def _texts(name: str, value: Any, choices: Collection[str] | None) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequest(f"{name} is not a list of texts.")
    if choices is not None and (unknown := set(value) - set(choices)):
        raise BadRequest(
            f"{name} has {len(unknown)} unknown value(s), expected some of {', '.join(choices)}."
        )
    return tuple(value)


def _number(setting: Field[Any], value: Any) -> Any:
    kind: type[int] | type[float] = int if isinstance(setting.default, int) else float
    least, most = setting.metadata.get("least", 0), setting.metadata.get("most", 3600)
    words = "a whole number" if kind is int else "a number"
    wrong = isinstance(value, bool) or not isinstance(value, kind if kind is int else int | float)
    if wrong or not least <= value <= most:
        raise BadRequest(f"{setting.name} is not {words} from {least} to {most}.")
    return kind(value)
