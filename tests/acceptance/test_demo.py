"""The demonstration runs as a newcomer runs it, tells the truth, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from rich.console import Console

from api.demo.stage import Stage
from api.demo.story import NotTrue, Story
from api.demo.teller import Teller
from ledger.ofauth.signatures import Secret

ROOT = Path(__file__).resolve().parents[2]
DEMO = (sys.executable, "-m", "api", "demo")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The caller's environment, with a folder of its own for temporary files."""
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **more}


def test_the_demo_tells_its_story_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit 0, at most 100 columns, no connection id, and the folder is gone."""
    done = subprocess.run(
        [*DEMO, "--once"],
        cwd=ROOT,
        env=environment(tmp_path, LEDGER_STRICT_TIMESTAMPS="nonsense of another ledger"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.replace(str(tmp_path), "/tmp").splitlines()
    assert [line for line in lines if len(line) > 100 or line != line.rstrip()] == []
    assert [line for line in lines if re.match(r"\d  ", line)] == [
        "1  Three creators connect",
        "2  A session expires, and a webhook comes twice",
        "3  A webhook comes late, after a newer one",
        "4  Was Noah connected at 13:30?",
        "5  A webhook that cannot be read, and one that is forged",
        "6  A creator leaves",
    ]
    assert "✓  The ledger and OFAuth's own list agree." in lines
    assert "conn_" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@contextmanager
def standing_demo(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A demo that stays up, and what it has printed."""
    with subprocess.Popen(
        DEMO, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if "Ctrl-C" in line:
                    break
            yield process, lines
        finally:
            process.terminate()


def test_what_the_demo_prints_to_look_further_works(tmp_path: Path) -> None:
    """Each printed command runs and answers; then SIGTERM ends all with exit code 0."""
    with standing_demo(tmp_path) as (process, lines):
        start = lines.index("Look further, in another terminal")
        printed = [line.strip() for line in lines[start + 1 :] if line.startswith("   ")]
        script = [line for line in printed if not line.endswith(":")]
        *commands, docs = script
        told = ["reconnected", "expired"]
        if shutil.which("curl"):
            told += ["not_json", '"clientReferenceId":"zoe"']
        else:
            commands = [line for line in commands if not line.startswith("curl")]
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert [text for text in told if text not in ran.stdout] == []
        token = re.search(r"LEDGER_TOKEN=(\S+)", "\n".join(commands))
        assert token is not None
        assert requests.get(docs, auth=("any", token[1]), timeout=20).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


class LyingStage(Stage):
    """A stage whose ledger says that everybody is active for ever."""

    def __init__(self) -> None:
        self.service = None  # type: ignore[assignment]

    def client(self, reference: str, **moment: str) -> dict[str, object]:
        """Say what is not so."""
        return {"status": "active", "connections": [{"statusSince": "2026-01-01T09:00:00.000Z"}]}

    def settle(self, *, keep_held: bool = False) -> int:
        """Deliver nothing."""
        return 0

    def _control(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> dict[str, object]:
        return {"id": "conn_1"}


def test_a_step_that_does_not_come_true_ends_the_story() -> None:
    """The narrator checks what it tells: a wrong answer is not told as a right one."""
    stage = LyingStage()
    story = Story(stage, Teller(Console(quiet=True)), midnight=0, stranger=Secret("x"))
    with pytest.raises(NotTrue, match="the state: expected"):
        story.run()
