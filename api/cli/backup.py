"""`backup`: a copy of a SQLite ledger."""

import os
from pathlib import Path

import click

from api.cli.output import as_json, print_facts, print_json, unavailable
from api.settings import Settings
from ledger.recorders.backup import BackupExists, back_up


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def backup(file: Path, json_: bool) -> None:
    """Copy the log of a SQLite ledger to FILE, also while `serve` runs.

    The copy is one moment of the log, is read back before it gets its name, and never replaces a
    file. Views are not in it: they are made again from the log.
    """
    source = Settings.from_env(os.environ).database_file
    if source is None:
        raise click.UsageError(
            "This ledger is on PostgreSQL. Back it up with pg_dump or pg_basebackup."
        )
    if not source.exists():
        unavailable(f"There is no ledger at {source}. Check LEDGER_DATABASE_URL.")
    try:
        copied = back_up(source, file)
    except BackupExists as error:
        raise click.UsageError(str(error)) from error
    facts = {
        "file": click.format_filename(file),
        "position": copied.position,
        "events": copied.events,
        "bytes": copied.size,
    }
    if json_:
        print_json(facts)
    else:
        print_facts(facts.items())
