"""The runner of documented blocks notices a page that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import Block
from tests.docs.shell import BlockFailedError, Shell, matches
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


def test_wildcards_stand_for_characters_or_lines() -> None:
    """`...` alone stands for any lines, none included; inside a line for any characters."""
    assert matches(["a", "...", "b ... d"], "a\nx\ny\nb c d")
    assert matches(["a", "...", "b"], "a\nb")
    assert not matches(["a ... c"], "a b\nc")
