"""How the demonstration looks: calm lines for a terminal, plain ones for a file."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

WIDTH: Final = 100
_INDENT: Final = " " * 10
_STYLES: Final = {
    "active": "green",
    "completed": "green",
    "valid": "green",
    "pending": "yellow",
    "awaiting_2fa": "yellow",
    "expired": "red",
    "deleted": "bright_black",
    "204": "green",
    "401": "red",
}
_QUIET: Final = "bright_black"


class Teller:
    """Prints the story as it happens. What comes from the service is marked by an arrow."""

    def __init__(self, console: Console) -> None:
        """Print to a console."""
        self._console = console
        self._steps = 0

    def title(self, text: str) -> None:
        """Begin."""
        self._console.print()
        self._console.rule(Text(text, style="bold"), align="left", characters="─")
        self._console.print()

    def paragraph(self, text: str, *, style: str = "") -> None:
        """Say something."""
        self._print(Text(text, style=style))

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        """Show names and values."""
        self._console.print()
        for name, value in rows:
            self._print(Text.assemble("   ", (f"{name:9}", "cyan"), value))

    def step(self, text: str) -> None:
        """Begin the next chapter."""
        self._steps += 1
        self._console.print()
        self._print(Text(f"{self._steps}  {text}", style="bold"))

    def happened(self, clock: str, text: str) -> None:
        """Tell what happens at OFAuth, at a time of its day."""
        self._print(Text.assemble("   ", (f"{clock:7}", "cyan"), text))

    def note(self, text: str) -> None:
        """Explain."""
        self._print(Text(f"{_INDENT}{text}", style=_QUIET))

    def answers(self, rows: Sequence[Sequence[str]], *, label: str = "") -> None:
        """Show what the service answers, in columns; under a label if there is one."""
        if label:
            self._print(Text(f"       →  {label}", style="magenta"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = Text("" if label else "       →  ", style="magenta")
            line.append(f"{_INDENT}   " if label else "")
            for cell, width in zip(row, widths, strict=True):
                line.append(f"{cell:{width}}   ", style=_STYLES.get(cell, "default"))
            line.rstrip()
            self._print(line)

    def commands(self, heading: str, groups: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Show lines to copy, under what they are for."""
        self._console.print()
        self._print(Text(heading, style="bold"))
        for purpose, lines in groups:
            self._print(Text(f"\n   {purpose}"))
            for line in lines:
                self._print(Text(f"   {line}", style="cyan"))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)  # what may be copied is never broken
