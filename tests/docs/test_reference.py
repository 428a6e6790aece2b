"""The reference says what the code says: nothing that a user can meet is undocumented or gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import get_args

import click
import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, Gauge

from docs.generator import commands, docstrings, events, metrics
from docs.generator.pages import UndocumentedError, described, fill, table
from docs.generator.reference import PAGES, reference
from docs.generator.routes import parts as route_parts
from ledger.domain.events import Event
from ledger.ofauth.payloads import REASONS
from ledger.ofauth.text import Reason


@pytest.fixture(scope="module")
def wanted() -> Mapping[Path, str]:
    """Every reference page as the generator writes it."""
    return reference()


@pytest.mark.parametrize("name", sorted(page.name for page in PAGES.glob("*.md")))
def test_every_reference_page_says_what_the_code_says(
    name: str, wanted: Mapping[Path, str]
) -> None:
    """A change of the code changes the page in the same commit."""
    page = PAGES / name
    difference = "\n".join(
        unified_diff(
            page.read_text().splitlines(),
            wanted[page].splitlines(),
            f"{name} as it is",
            f"{name} as the code has it",
            lineterm="",
        )
    )
    assert not difference, f"run `make docs`, look at what it changes, and commit it\n{difference}"


def test_every_reason_for_parking_is_explained() -> None:
    """What a body can be refused for is a word of the table, as is a failure of our own."""
    assert {*get_args(Reason), "failed"} == REASONS.keys()


# what has no description is refused


@dataclass(frozen=True)
class Silent(Event):
    """An event, of which nobody says what its field means."""

    NAME = "silent.happened"
    field: int


def test_an_event_without_a_description_of_its_field_is_refused() -> None:
    """The text below a field is what the page shows."""
    with pytest.raises(UndocumentedError, match=r"Silent\.field"):
        events._fields(Silent)


def test_a_command_whose_option_has_no_help_is_refused() -> None:
    """Commands are documented by their own help."""

    @click.command()
    @click.option("--loud")
    def shout() -> None:
        """Shout."""

    with pytest.raises(UndocumentedError, match="shout --loud"):
        commands.parts(click.Group(commands={"shout": shout}))


def test_a_command_without_help_is_refused() -> None:
    """An empty line in the list of commands helps nobody."""
    group = click.Group(commands={"shout": click.Command("shout")})
    with pytest.raises(UndocumentedError, match="shout"):
        commands.parts(group)


def test_a_metric_without_a_description_is_refused() -> None:
    """What Prometheus shows as help is what the page shows."""
    registry = CollectorRegistry()
    Gauge("silent", "", registry=registry)
    with pytest.raises(UndocumentedError, match="silent"):
        metrics.parts(registry)


def test_a_route_without_a_description_is_refused() -> None:
    """The docstring of a view is what the page shows."""
    app = Flask("silent", static_folder=None)
    app.add_url_rule("/silent", view_func=lambda: "", endpoint="silent")
    components: dict[str, object] = {"schemas": {}, "responses": {}}
    app.extensions["openapi"] = {"paths": {}, "components": components}
    with pytest.raises(UndocumentedError, match="GET /silent"):
        route_parts(app)


def test_a_new_thing_without_a_place_is_refused() -> None:
    """The page says where it stands, so that somebody thinks of what must be said around it."""
    text = "# Page\n\n<!-- from the code: one -->\nold\n<!-- end -->\n"
    with pytest.raises(UndocumentedError, match="two"):
        fill("page", text, {"one": "1", "two": "2"})
    with pytest.raises(UndocumentedError, match="one"):
        fill("page", text, {})


# how a page is made


def test_only_places_are_replaced() -> None:
    """What people wrote around the places stays as it is."""
    text = "before\n<!-- from the code: one -->\nold\n<!-- end -->\nafter\n"
    once = fill("page", text, {"one": "new"})
    assert once == "before\n<!-- from the code: one -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert fill("page", once, {"one": "new"}) == once


def test_descriptions_are_one_line_and_cells_hold_no_bars() -> None:
    """A table has one line for each row."""
    assert described("it", "two\n    lines") == "two lines"
    assert table(["a"], [["x | y"]]) == "| a |\n| --- |\n| x \\| y |"


def test_docstrings_of_attributes_are_read_with_those_of_bases() -> None:
    """A class shows its own attributes and the inherited ones, each with the text below it."""
    found = docstrings.attributes(Loud)
    assert found["volume"] == docstrings.Attribute("volume", "int", "How loud,\nin dB.")
    assert found["NAME"].text == "Its stored type."
    assert docstrings.own_doc(Loud) == "A loud event."
    assert docstrings.own_doc(Undescribed) is None


@dataclass(frozen=True)
class Loud(Event):
    """A loud event."""

    NAME = "loud.happened"
    volume: int
    """How loud,
    in dB."""


class Undescribed(Loud):  # noqa: D101 - which is what it is for
    NAME = "undescribed.happened"
