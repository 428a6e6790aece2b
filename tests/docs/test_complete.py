"""What people wrote down of the code beside the generated reference is whole, too."""

from __future__ import annotations

from api.emulator.controls import CHANGE_PASSWORD
from api.emulator.world import Action
from api.errors import KINDS, Kind
from docs.generator.errors import modules
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


def test_every_kind_of_problem_is_in_the_table() -> None:
    """The page is made of one list, into which somebody must put a new kind."""
    made = {
        value.name
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, Kind)
    }
    assert made == {kind.name for kind in KINDS}


def test_every_action_of_the_emulator_is_documented() -> None:
    """What can happen to a connection stands in a table beside the generated ones."""
    actions = [*(action.value for action in Action), CHANGE_PASSWORD]
    assert column("docs/reference/emulator.md", "What can happen to a connection") == actions
