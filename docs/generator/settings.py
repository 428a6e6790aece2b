"""The settings with their defaults."""

from __future__ import annotations

import re
from pathlib import Path

from api import cli
from api.settings import NAMES, NEEDED, Settings
from docs.generator.docstrings import attributes
from docs.generator.pages import Parts, code, described, table


def parts() -> Parts:
    """Give the table of the service's settings."""
    known, defaults = attributes(Settings), Settings.from_env({})
    rows = [
        [
            code(name),
            "none; `serve` needs it" if name in NEEDED else _default(getattr(defaults, attribute)),
            described(name, known[attribute].text),
        ]
        for name, attribute in NAMES.items()
    ]
    return {"settings": table(["setting", "default", "meaning"], rows)}


def variables() -> set[str]:
    """Name every variable that the code reads from the environment or tells the user to set."""
    folder = Path(cli.__file__).parents[1]
    found = {
        name
        for source in folder.rglob("*.py")
        for name in re.findall(r"\bLEDGER_[A-Z_]*[A-Z]\b", source.read_text(encoding="utf-8"))
    }
    return {name.removesuffix("_FILE") for name in found}


def _default(value: object) -> str:
    if value in ("", ()):
        return "none"
    return code(str(value).lower() if isinstance(value, bool) else str(value))
