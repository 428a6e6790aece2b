"""The commands, as their own `--help` tells them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from api.cli import cli
from docs.generator.pages import Parts, UndocumentedError, anchor, described, table

WIDTH = 100


def parts(group: click.Group = cli) -> Parts:
    """Give the list of all commands, and the help of each under its words."""
    found = dict(commands(group))
    rows = [
        [f"[`{name}`](#{anchor(name)})", described(name, command.get_short_help_str(WIDTH))]
        for name, command in found.items()
    ]
    helps = {name: f"```text\n{_help(name, command)}\n```" for name, command in found.items()}
    return {"all commands": table(["command", "does"], rows)} | helps


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


def _help(name: str, command: click.Command) -> str:
    for one in command.params:
        if isinstance(one, click.Option) and not one.help:
            raise UndocumentedError(f"{name} {one.opts[0]} has no help: give it one.")
    context = click.Context(
        command,
        info_name=f"connection-ledger {name}",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)
