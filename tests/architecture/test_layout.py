"""Things are where the house rules put them, and nothing names the machine it was made on."""

from __future__ import annotations

import re
import sys

import pytest

from tests.architecture.source import ROOT, imported_modules, package_files, tracked_files

FOLDERS = {"ledger", "projections", "api", "tests", "docs", ".ci"}
FILES = {
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
}

MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|root|opt|Users|home)/[\w.-]+")
REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian|ubuntu)[.](?:org|net|com)\b")
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b")


def test_top_level_folders_are_the_agreed_ones() -> None:
    """The packages, tests, docs and the CI script: nothing else grows beside them."""
    folders = {file.parts[0] for file in tracked_files() if len(file.parts) > 1}
    assert folders - FOLDERS == set()


def test_top_level_files_are_the_agreed_ones() -> None:
    """A new file beside the packages is a decision: write it down, then extend the list here."""
    files = {file.name for file in tracked_files() if len(file.parts) == 1}
    assert files - FILES == set()


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, REGISTRY, UNFINISHED], ids=["machine path", "registry", "unfinished"]
)
def test_tracked_files_name_no_machine_no_registry_and_no_unfinished_work(
    pattern: re.Pattern[str],
) -> None:
    """A clone works anywhere: paths come from settings, packages from the client's own index."""
    found = {}
    for file in tracked_files():
        text = (ROOT / file).read_bytes().decode("utf-8", errors="ignore")
        if file.name != "LICENSE" and (match := pattern.search(text)):
            found[str(file)] = match.group()
    assert found == {}


def test_the_domain_imports_only_the_standard_library_and_itself() -> None:
    """`ledger.domain` is pure: no IO library, no wire format, nothing that must be installed."""
    allowed = sys.stdlib_module_names
    foreign = {
        f"{file}: {module}"
        for file in package_files()
        if file.parts[:2] == ("ledger", "domain")
        for module in imported_modules(file)
        if module.partition(".")[0] not in allowed and not module.startswith("ledger.domain")
    }
    assert foreign == set()
