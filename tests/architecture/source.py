"""What the architecture tests look at: the tracked files and the functions in the packages."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ledger", "projections", "api")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Return every file that git tracks and that exists, relative to the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [Path(name) for name in listed.split("\0") if name]
    return tuple(name for name in names if (ROOT / name).is_file())


@cache
def package_files() -> tuple[Path, ...]:
    """Return every Python file of the three packages, relative to the root."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(sorted(path.relative_to(ROOT) for path in found))


def function_lengths(file: Path) -> Iterator[tuple[str, int]]:
    """Yield name and number of lines, docstring included, of each function in a file."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{file}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def imported_modules(file: Path) -> Iterator[str]:
    """Yield the absolute name of each module that a file imports."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.parts[: -node.level] if node.level else ()
            yield ".".join([*above, *([node.module] if node.module else [])])
