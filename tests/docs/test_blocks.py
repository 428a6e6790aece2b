"""Every block of README.md, CHANGELOG.md and docs/ does what the page says.

How to write a block that this test runs (the words after the language are invisible to readers):

```console            A session. A line `$ command` is run; lines `> …` right below go on with it.
$ command             The lines below a command are its output: `...` alone stands for any lines,
output                `...` inside a line for any characters. Without any, the output is not
```                   compared. Exit code 0 is expected; else show it: `$ command; echo $?`.
```console background A program that goes on, as in a terminal of its own: the page waits until its
                      output begins with the lines shown, then goes on; it is ended with the page.
```bash  (or sh)      A script. It stops at the first failing line, and must not fail.
```python             Runs with the names of the page's earlier Python blocks. One that begins with
                      `>>>` is a session, compared like a doctest, with `...` as wildcard.
```… file=PATH        Is written to that file instead of run.
```diff in-copy       Is applied, as with `git apply`.
```… not-run: REASON  Shown only. The reason is required: it is for the next writer.
```text               Shown only: what is no code.

Anything else is refused, so that no code escapes by another word for its language.

The blocks of a page run in order, each page in an empty folder of its own, in one bash with the
project's commands on PATH and no LEDGER_* setting. `at-root` after the language runs a block in the
project's folder, as after `cd connection-ledger`; `in-copy` runs it in a copy of that folder, which
the page may change. A page that calls curl is skipped where there is none.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, Block, blocks, pages
from tests.docs.shell import BlockFailedError, Shell, difference, matches

SHELL_LANGUAGES = {"bash", "sh"}
RUN_LANGUAGES = {"console", "python", "diff"} | SHELL_LANGUAGES
SHOWN_LANGUAGE = "text"
MARK = re.compile(r"at-root|in-copy|background|file=[\w./-]+")
NOT_COPIED = (".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", "*.db*")
NOT_RUN = re.compile(r"not-run: *\S.+")


def runnable(page: str) -> list[Block]:
    """Return the blocks of a page that are to run."""
    found = [block for block in blocks(page) if block.language in RUN_LANGUAGES]
    return [block for block in found if not NOT_RUN.fullmatch(block.marks)]


def test_the_pages_are_there() -> None:
    """A project without README, changelog and a first page has no documentation to test."""
    missing = {"README.md", "CHANGELOG.md", "docs/index.md", "docs/glossary.md"} - set(pages())
    assert missing == set()


@pytest.mark.parametrize("page", pages())
def test_every_mark_is_known(page: str) -> None:
    """A misspelt mark would change what runs; a block that does not run says why."""
    unknown = [
        f"{page}:{block.line} {mark}"
        for block in runnable(page)
        for mark in block.marks.split()
        if not MARK.fullmatch(mark)
    ]
    assert unknown == []


@pytest.mark.parametrize("page", pages())
def test_every_block_runs_or_says_why_not(page: str) -> None:
    """Code in another language, or only indented, would be shown and never tried."""
    shown = [
        f"{page}:{block.line} {block.language or 'no language'}"
        for block in blocks(page)
        if block.language not in RUN_LANGUAGES | {SHOWN_LANGUAGE}
        and not NOT_RUN.fullmatch(block.marks)
    ]
    assert shown == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in pages() if runnable(page)])
def test_every_block_does_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who types what a page shows gets what the page shows."""
    todo = runnable(page)
    if any("curl" in block.text for block in todo) and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with Shell(tmp_path) as shell:
        for block in todo:
            try:
                run_block(shell, block, names)
            except Exception as error:
                raise BlockFailedError(f"{page}, block at line {block.line}: {error}") from error


def run_block(shell: Shell, block: Block, names: dict[str, Any]) -> None:
    """Run one block and compare what it prints."""
    folder = folder_of(shell, block)
    if file := re.search(r"file=(\S+)", block.marks):
        target = folder / file[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text, encoding="utf-8")
        return
    if block.language == "python":
        run_python(block, names)
        return
    if folder != shell.folder:
        shell.run(f"pushd {folder} >/dev/null; before=${{PYTHONPATH-}}; export PYTHONPATH={folder}")
    run_shell(shell, block)
    if folder != shell.folder:
        shell.run("popd >/dev/null; export PYTHONPATH=$before")


def folder_of(shell: Shell, block: Block) -> Path:
    """Return the folder in which a block runs; the copy of the project is made when first used."""
    if "at-root" in block.marks:
        return ROOT
    if "in-copy" not in block.marks:
        return shell.folder
    copy = shell.folder / "copy"
    if not copy.exists():
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return copy


def run_shell(shell: Shell, block: Block) -> None:
    """Run a block in the page's bash."""
    if block.language in SHELL_LANGUAGES:
        shell.run(f"set -euo pipefail\n{block.text}\nset +euo pipefail")
    if block.language == "diff":
        # a folder that lies in another repository must not be taken for a part of it
        shell.run(f"GIT_CEILING_DIRECTORIES=$PWD/.. git apply - <<'THE END'\n{block.text}THE END")
    for command, expected in session(block):
        if "background" in block.marks:
            shell.start(command, expected)
        elif not matches(expected, text := shell.run(command)) and expected:
            raise BlockFailedError(difference(command, expected, text))


def session(block: Block) -> list[tuple[str, list[str]]]:
    """Cut a console block into commands and the output lines expected of each."""
    steps: list[tuple[str, list[str]]] = []
    if block.language != "console":
        return steps
    for line in block.text.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif not steps:
            raise BlockFailedError(f"a console block begins with `$ command`, not with {line!r}")
        elif line.startswith("> ") and not steps[-1][1]:
            steps[-1] = (f"{steps[-1][0]}\n{line[2:]}", [])
        else:
            steps[-1][1].append(line)
    for _, expected in steps:
        while expected and not expected[-1].strip():
            expected.pop()
    return steps


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run a Python block in the page's namespace."""
    if not block.text.startswith(">>>"):
        exec(compile(block.text, f"<block at line {block.line}>", "exec", dont_inherit=True), names)
        return
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(block.text, names, "page", None, block.line)
    report = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        result = doctest.DocTestRunner(optionflags=flags).run(
            test, out=report.write, clear_globs=False
        )
    names.update(test.globs)
    if result.failed:
        raise BlockFailedError(report.getvalue())
