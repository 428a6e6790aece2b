"""Every reference page as it should be."""

from __future__ import annotations

from pathlib import Path

from docs.generator import commands, emulator, errors, events, metrics, routes, settings
from docs.generator.pages import Parts, fill
from docs.generator.service import open_unused

PAGES = Path(__file__).resolve().parents[1] / "reference"


def reference() -> dict[Path, str]:
    """Give the text of each reference page, with what the code says now in its places."""
    return {
        PAGES / f"{name}.md": fill(name, (PAGES / f"{name}.md").read_text(encoding="utf-8"), parts)
        for name, parts in all_parts().items()
    }


def all_parts() -> dict[str, Parts]:
    """Give the generated parts of each page."""
    with open_unused() as (app, registry):
        live = {"routes": routes.parts(app), "metrics": metrics.parts(registry)}
    return live | {
        "events": events.parts(),
        "commands": commands.parts(),
        "settings": settings.parts(),
        "errors": errors.parts(),
        "emulator": emulator.parts(),
    }
