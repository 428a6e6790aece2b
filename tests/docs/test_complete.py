"""What people wrote down of the code beside the generated reference is whole, too."""

from __future__ import annotations

from dataclasses import fields

from api.emulator.controls import CHANGE_PASSWORD
from api.emulator.delivery import Style
from api.emulator.faults import FAULTS
from api.emulator.manner import Manner
from api.emulator.world import Action
from docs.generator.settings import variables
from tests.docs.pages import table_under


def column(page: str, title: str) -> list[str]:
    """Return the first column of the table under a heading, without its head."""
    return [row[0] for row in table_under(page, title)[1:]]


def test_every_ledger_variable_in_the_code_is_documented() -> None:
    """What the code reads from the environment, or tells the user to set, stands in a table."""
    page = "docs/reference/settings.md"
    documented = column(page, "Of the service") + column(page, "Of the commands that write")
    assert variables() == set(documented)


def test_every_control_of_the_emulator_is_documented() -> None:
    """Faults, settings of deliveries and answers, and actions stand in tables."""
    page = "docs/how-to/use-the-emulator.md"
    assert column(page, "Faults") == list(FAULTS)
    assert column(page, "How webhooks are made") == [one.name for one in fields(Style)]
    assert column(page, "How the HTTP API answers") == [one.name for one in fields(Manner)]
    actions = [*(action.value for action in Action), CHANGE_PASSWORD]
    assert column(page, "What can happen to a connection") == actions
