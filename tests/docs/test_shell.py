"""The runner of documented blocks notices a page that is wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs.network import own_network
from tests.docs.pages import Block
from tests.docs.shell import ROOT, BlockFailedError, Shell, matches
from tests.docs.test_blocks import run_block


def run(folder: Path, *todo: Block) -> None:
    """Run blocks as one page."""
    names: dict[str, object] = {}
    with Shell(folder) as shell:
        for block in todo:
            run_block(shell, block, names)


def console(text: str, marks: str = "") -> Block:
    """Make a console block."""
    return Block("console", marks, text, 1)


def test_a_page_that_tells_the_truth_passes(tmp_path: Path) -> None:
    """Variables, folders and background programs last from block to block."""
    run(
        tmp_path,
        console("$ export NAME=ada\n$ mkdir room && cd room\n"),
        console("$ sh -c 'echo ready; exec sleep 100'\nready\n", "background"),
        console("$ echo hello $NAME; pwd\nhello ada\n.../room\n$ false; echo $?\n1\n"),
        console("$ cat <<END\n> a\n> END\na\n"),
        Block("bash", "", "test $NAME = ada\n", 1),
        Block("python", "", "n = 41\n", 1),
        Block("python", "", ">>> n + 1\n42\n>>> object()\n<object ...>\n", 1),
    )


@pytest.mark.parametrize(
    "block",
    [
        console("$ echo 1\n2\n"),
        console("$ printf '1\\n2\\n'\n1\n"),
        console("$ false\n"),
        console("$ exit 0\n"),
        console("output without command\n"),
        Block("bash", "", "false\ntrue\n", 1),
        Block("python", "", ">>> 1 + 1\n3\n", 1),
    ],
    ids=lambda block: block.text.strip(),
)
def test_a_page_that_does_not_is_caught(tmp_path: Path, block: Block) -> None:
    """Another output, more output, a failing command and a dead shell all fail the page."""
    with pytest.raises(BlockFailedError):
        run(tmp_path, block)


def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    """A program that kept its port would fail every later page, until somebody finds it."""
    killed = (
        "import os, pathlib; from tests.docs.shell import Shell\n"
        f"with Shell(pathlib.Path({str(tmp_path)!r})) as shell:\n"
        "    shell.start('echo sleeps as $BASHPID; exec sleep 1000', ['sleeps as ...'])\n"
        "    print(shell.run('cat .background-*'), flush=True)\n"
        "    os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    sleeping = Path(f"/proc/{int(done.stdout.split()[-1])}/comm")
    deadline = time.monotonic() + 30
    while sleeping.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sleeping.exists()


def test_two_pages_may_listen_on_one_port(tmp_path: Path) -> None:
    """Nor does it matter what else listens on this machine."""
    if not own_network():
        pytest.skip("this system gives no network of its own")
    serve = f"{sys.executable} -u -m http.server --bind 127.0.0.1 8080"
    with Shell(tmp_path) as first, Shell(tmp_path) as second:
        for shell in (first, second):
            shell.start(serve, ["Serving HTTP on 127.0.0.1 port 8080 ..."])


def test_wildcards_stand_for_characters_or_lines() -> None:
    """`...` alone stands for any lines, none included; inside a line for any characters."""
    assert matches(["a", "...", "b ... d"], "a\nx\ny\nb c d")
    assert matches(["a", "...", "b"], "a\nb")
    assert not matches(["a ... c"], "a b\nc")
