"""One table for everything that was measured: ratios first, absolute figures second."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.benchmarks.load import find_wrk
from tests.postgres import find_binaries

PACKAGES: Final = (
    "eventsourcing",
    "flask",
    "granian",
    "marshmallow",
    "msgspec",
    "psycopg",
    "sqlalchemy",
    "waitress",
)
HEADINGS: Final = ("measured", "against", "ratio", "wanted", "", "ours", "theirs")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    measured: str
    against: str
    ours: str
    """The absolute figure."""
    theirs: str = ""
    ratio: float | None = None
    least: float | None = None
    """What the ratio should reach at least."""
    most: float | None = None
    """What it should not exceed."""

    @property
    def wanted(self) -> str:
        """Write the bar."""
        if self.least is not None:
            return f">= {self.least:g}"
        return "" if self.most is None else f"<= {self.most:g}"

    @property
    def verdict(self) -> str:
        """Say whether the bar is reached."""
        if self.ratio is None or not self.wanted:
            return ""
        good = (self.least is None or self.ratio >= self.least) and (
            self.most is None or self.ratio <= self.most
        )
        return "ok" if good else "MISSED"

    @property
    def cells(self) -> tuple[str, ...]:
        """Write it for the table."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (
            self.measured,
            self.against,
            ratio,
            self.wanted,
            self.verdict,
            self.ours,
            self.theirs,
        )


def write(rows: Iterable[Row]) -> str:
    """Lay the rows out in columns."""
    lines: list[Sequence[str]] = [HEADINGS, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def machine() -> str:
    """Say where and with what was measured."""
    hardware = f"{os.cpu_count()} x {_processor()}, {_memory()} GB"
    postgres = _told(str(find_binaries() / "postgres"), "--version")
    described = [
        f"{hardware}, {platform.system()} {platform.release()}, {_told(find_wrk(), '-v')}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {postgres}",
        ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    ]
    return "\n".join(described)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _told(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].partition(" [")[0]
