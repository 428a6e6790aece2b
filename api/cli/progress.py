"""How far a rebuild has come: a bar on a terminal, plain lines elsewhere; both on stderr."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

Show = Callable[[Mapping[str, Any]], None]
"""Shows a rebuild in the form in which the API answers it."""


@contextmanager
def showing() -> Iterator[Show]:
    """Lend what shows a running rebuild."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, said="")

        def show(rebuild: Mapping[str, Any]) -> None:
            bar.update(
                task,
                description=rebuild["phase"],
                completed=rebuild["done"],
                total=rebuild["total"],
                said=_numbers(rebuild),
            )

        yield show


class _Lines:
    """A line for each phase, and for each tenth of it."""

    def __init__(self) -> None:
        self._shown: tuple[str, int] | None = None

    def __call__(self, rebuild: Mapping[str, Any]) -> None:
        tenth = 10 * rebuild["done"] // rebuild["total"] if rebuild["total"] else 0
        if self._shown != (rebuild["phase"], tenth):
            self._shown = (rebuild["phase"], tenth)
            numbers = _numbers(rebuild)
            click.echo(f"{rebuild['phase']}{': ' if numbers else ''}{numbers}", err=True)


def _numbers(rebuild: Mapping[str, Any]) -> str:
    if rebuild["total"] is None:
        return ""
    said = f"{rebuild['done']} of {rebuild['total']} events"
    if rebuild["rate"]:
        said += f", {rebuild['rate']:.0f}/s"
    if rebuild["phase"] == "reading" and rebuild["secondsLeft"] is not None:
        said += f", {rebuild['secondsLeft']:.0f} s left"
    return said
