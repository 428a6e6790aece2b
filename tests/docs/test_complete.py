"""Nothing that a user can meet is undocumented, and nothing documented is gone."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import click
import pytest

import api
import ledger
import projections
from api.app import create_app
from api.auth import required_scope
from api.bootstrap import Service, open_service
from api.cli import cli
from api.emulator.delivery import Style
from api.emulator.faults import FAULTS
from api.emulator.world import Action
from api.errors import KINDS
from api.settings import NAMES, Settings
from ledger.domain.claim import Claim, Evidence, Kind
from ledger.domain.errors import LedgerError
from ledger.domain.events import CONNECTION_TYPES, TYPES, Drawn, Signed
from ledger.ofauth.signatures import Reason
from tests.docs.pages import ROOT, table_under

REFERENCE = "docs/reference"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def column(page: str, title: str, place: int = 0) -> list[str]:
    """Return one column of the table under a heading, without its head."""
    return [row[place] for row in table_under(page, title)[1:]]


def modules() -> Iterator[ModuleType]:
    """Import and yield every module of the three packages."""
    for package in (ledger, projections, api):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on SQLite, wired and not started."""
    opened = open_service(
        Settings.from_env({"LEDGER_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db"})
    )
    yield opened
    opened.stop()


# commands


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join([*path, name]), command


def parameters(command: click.Command) -> set[str]:
    """Return the arguments and options that a command takes, as its help writes them."""
    names = set()
    for one in command.params:
        if isinstance(one, click.Argument):
            names.add((one.metavar or one.name or "").upper())
        else:
            names.add(max(one.opts, key=len))
    return names


@pytest.mark.parametrize(
    ("name", "command"), [pytest.param(*found, id=found[0]) for found in commands(cli)]
)
def test_every_command_is_documented_with_its_parameters(name: str, command: click.Command) -> None:
    """A command has a heading, and a table with each of its arguments and options."""
    assert set(column(f"{REFERENCE}/commands.md", name)) == parameters(command)


def test_every_documented_command_exists() -> None:
    """The list of commands names them all, and no other."""
    assert column(f"{REFERENCE}/commands.md", "All commands") == [n for n, _ in commands(cli)]


# routes


def test_every_route_is_documented_with_its_scope(service: Service) -> None:
    """Method, path and scope in the table are those of the application."""
    app = create_app(service.services)
    found = set()
    with app.app_context():
        for rule in app.url_map.iter_rules():
            if rule.rule.startswith("/docs/<"):  # the files of Swagger UI
                continue
            scope = (required_scope(rule.endpoint) or "admin").partition(":")[0]
            route = re.sub(r"<\w+:", "<", rule.rule)
            found |= {(method, route, scope) for method in METHODS & (rule.methods or set())}
    documented = [tuple(row[:3]) for row in table_under(f"{REFERENCE}/routes.md", "All routes")[1:]]
    assert set(documented) == found
    assert len(documented) == len(found)


# settings


def test_every_setting_is_documented() -> None:
    """The table names the settings that are read, with their defaults where they have one."""
    assert column(f"{REFERENCE}/settings.md", "Of the service") == list(NAMES)


def test_every_ledger_variable_in_the_code_is_documented() -> None:
    """What the code reads from the environment, or tells the user to set, stands in a table."""
    sources = [path.read_text() for path in (ROOT / "api").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"LEDGER_[A-Z_]*[A-Z]", text)}
    documented = {
        name
        for title in ("Of the service", "Of the commands that write")
        for name in column(f"{REFERENCE}/settings.md", title)
    }
    assert {name.removesuffix("_FILE") for name in used} == documented


def test_documented_defaults_are_the_real_ones() -> None:
    """A default in the table is what an empty environment gives."""
    defaults = dict(
        zip(*(column(f"{REFERENCE}/settings.md", "Of the service", n) for n in (0, 1)), strict=True)
    )
    settings = Settings.from_env({})
    assert defaults["LEDGER_DATABASE_URL"] == settings.database_url
    assert defaults["LEDGER_DATA_DIR"].endswith(settings.data_dir.name)
    assert defaults["LEDGER_STALE_AFTER_SECONDS"] == str(settings.stale_after_seconds)
    assert defaults["LEDGER_WEBHOOK_TOLERANCE_SECONDS"] == str(settings.tolerance_seconds)
    assert defaults["LEDGER_STRICT_TIMESTAMPS"] == str(settings.strict_timestamps).lower()
    assert defaults["LEDGER_LOG_FORMAT"] == settings.log_format


# events


def field_names(cls: type) -> list[str]:
    """Return the names of a dataclass's fields in their order."""
    return [one.name for one in fields(cls)]


@pytest.mark.parametrize("name", sorted(TYPES.keys() - CONNECTION_TYPES.keys()))
def test_every_event_is_documented_with_its_fields(name: str) -> None:
    """A stored event has a heading, and a table with each of its fields."""
    assert column(f"{REFERENCE}/events.md", name) == field_names(TYPES[name])


def test_every_connection_event_is_documented() -> None:
    """Connection events share their fields, so one table lists them."""
    page = f"{REFERENCE}/events.md"
    assert column(page, "Connection events") == list(CONNECTION_TYPES)
    for cls in CONNECTION_TYPES.values():
        assert column(page, "Fields of a connection event") == field_names(cls)


@pytest.mark.parametrize("cls", [Claim, Evidence, Signed, Drawn])
def test_every_part_of_an_event_is_documented(cls: type) -> None:
    """What a field holds that is not a plain value has a table of its own."""
    assert column(f"{REFERENCE}/events.md", cls.__name__) == field_names(cls)


def test_every_kind_of_claim_is_documented() -> None:
    """The row of `kind` lists the values that it can have."""
    rows = dict(row[:2] for row in table_under(f"{REFERENCE}/events.md", "Claim"))
    listed = set(rows["kind"].partition(":")[2].replace(",", " ").split())
    assert listed == {kind.value for kind in Kind}


# metrics


def test_every_metric_is_documented(service: Service) -> None:
    """Name, kind and labels in the table are those that a scrape gives."""
    found = {family.name: family.type for family in service.services.metrics.registry.collect()}
    rows = table_under(f"{REFERENCE}/metrics.md", "All metrics")[1:]
    assert {row[0]: row[1] for row in rows} == found


# errors


def test_every_kind_of_problem_is_documented() -> None:
    """Name and status in the table are those on the wire."""
    rows = table_under(f"{REFERENCE}/errors.md", "Kinds of problem")[1:]
    assert [(row[0], int(row[1])) for row in rows] == [(kind.name, kind.status) for kind in KINDS]


def test_every_reason_for_a_refusal_is_documented() -> None:
    """The words that the metric shows are explained."""
    title = "Reasons for 401 at the webhook route"
    assert column(f"{REFERENCE}/errors.md", title) == [reason.value for reason in Reason]


def test_every_error_class_is_documented() -> None:
    """Every child of LedgerError, in whichever module, stands in the table."""
    list(modules())
    found = {LedgerError}
    ahead = [LedgerError]
    while ahead:
        children = set(ahead.pop().__subclasses__())
        found |= children
        ahead += children
    names = {cls.__name__ for cls in found if not cls.__module__.startswith("tests.")}
    assert set(column(f"{REFERENCE}/errors.md", "Error classes")) == names


# the emulator


def test_every_control_of_the_emulator_is_documented() -> None:
    """Faults, settings of deliveries and actions stand in tables."""
    page = "docs/how-to/use-the-emulator.md"
    assert column(page, "Faults") == list(FAULTS)
    assert column(page, "How webhooks are made") == field_names(Style)
    assert column(page, "What can happen to a connection") == [action.value for action in Action]
