"""The demonstration runs as a newcomer runs it, tells the truth, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from rich.console import Console

from api.demo.browser import Browser
from api.demo.program import Program
from api.demo.scene import DAY_MS, NotTrue, Scene
from api.demo.stage import Stage
from api.demo.story import perform
from api.demo.teller import Teller
from api.emulator.clock import now_ms
from ledger.ofauth.signatures import Secret

ROOT = Path(__file__).resolve().parents[2]
DEMO = (sys.executable, "-m", "api", "demo")


CHAPTERS = """
1 Two creators connect, and a webhook comes twice
noah active since 09:00
lena active since 09:10
history of lena
09:10 created

2 A webhook comes late, after a newer one
lena active since 09:10
lena active since 14:00
history of lena
09:10 created
13:00 expired came late
14:00 reconnected was taken for “updated” when it came

3 One webhook cannot be read, and one is forged
204 kept as it came, and parked: not_json
401 refused: no secret of ours made this signature
noah active since 09:00

4 Mia connects through Link, with a 2FA code
mia pending http://127.0.0.1:…/link/start/link_…
mia awaiting_2fa just now
mia active just now
her link completed proved by OFAuth's webhook; a browser proves nothing
history of mia
now created
now activated

5 Lena's session expires, and she reconnects
lena expired since 22:00
lena active just now
her link completed in the same connection as before

6 A webhook is lost, and a pass over OFAuth's list repairs it
noah active since 09:00
valid 3 connections listed, 1 repair: a change that no webhook had told
noah expired since 23:00

7 Noah reconnects, and comes back with another connection
the old one expired forked: its successor is the new one
the new one active forked: its predecessor is the old one

8 His account is connected twice, so the old connection is deleted
1 account with 2 connections, each of them billed (expired, active)
history of the old one
now deletion_requested by “demo”, because: replaced by the new one
now deleted proved by OFAuth's answer to our call
duplicates none any more

9 Was Noah connected at 23:30, and did we know it?
history of noah
09:00 created
23:00 expired found in OFAuth's list
now created
now forked in place of another
now forked another took its place
now deletion_requested by “demo”, because: replaced by the new one
now deleted proved by OFAuth's answer to our call
asked before the pass active ?validAt=…23:30&asOf=…
asked now expired ?validAt=…23:30
"""
"""Each chapter's title, and what the service answers in it."""


def told(lines: list[str]) -> str:
    """Titles and answers among the lines of a demo, without what is another each time."""
    shown = []
    for line in lines:
        text = " ".join(line.removeprefix("       →").split())
        text = re.sub(r"(127\.0\.0\.1:|link_|asOf=…)[0-9a-f:]+", r"\1…", text).replace("……", "…")
        if re.match(r"\d  ", line):
            shown.append(f"\n{text}\n")
        elif re.match(r"       →| {13}", line):
            shown.append(f"{text}\n")
    return "".join(shown)


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
    # which of the two tells of the deletion first is decided by the second that OFAuth rounds to
    assert told(lines).replace("OFAuth's webhook\n", "OFAuth's answer to our call\n") == CHAPTERS
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


def service_of(lines: list[str]) -> tuple[str, str]:
    """Where the service of a standing demo listens, and the token that it printed."""
    printed = re.search(r"LEDGER_URL=(\S+) LEDGER_TOKEN=(\S+)", "\n".join(lines))
    assert printed is not None
    return printed[1], printed[2]


def ask(lines: list[str], path: str) -> Any:
    """Ask the service of a standing demo."""
    url, token = service_of(lines)
    answer = requests.get(f"{url}{path}", headers={"apikey": token}, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def log_in(lines: list[str], client: str, url: str) -> None:
    """Let a client open a link, log in and be connected."""
    browser, program = Browser(), Program(*service_of(lines))
    browser.open(url)
    for label in ("Continue", "Allow", "Log in"):
        browser.press(label)
    program.until(
        "the connection", lambda: program.client(client), lambda told: told["status"] == "active"
    )
    browser.close()
    program.close()


def test_what_the_demo_prints_to_look_further_works(tmp_path: Path) -> None:
    """Each printed command runs and answers; then SIGTERM ends all with exit code 0."""
    with standing_demo(tmp_path) as (process, lines):
        start = lines.index("Look further, in another terminal")
        printed = [line.strip() for line in lines[start + 1 :] if line.startswith("   ")]
        script = [line for line in printed if not line.endswith(":")]
        *commands, docs = script
        said = ["connection.forked", "expired"]
        if shutil.which("curl"):
            said += ['"repairs": 1', "/link/start/link_", '"status": "pending"']
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
        assert [text for text in said if text not in ran.stdout] == []
        if link := re.search(r"http://\S+/link/start/link_\w+", ran.stdout):
            log_in(lines, "zoe", link[0])
        _, token = service_of(lines)
        assert requests.get(docs, auth=("any", token), timeout=20).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


def happened(lines: list[str], path: str) -> list[tuple[str, str]]:
    """Type and source of each entry of a history, without what told nothing new."""
    entries = ask(lines, f"{path}/history?by=occurredAt")["items"]
    found = [(one["type"].removeprefix("connection."), one["source"]) for one in entries]
    return [one for one in found if one[0] not in ("confirmed", "updated")]


def test_what_the_demo_tells_is_what_the_ledger_holds(tmp_path: Path) -> None:
    """Asked by somebody else, the service that stays up answers as the story goes."""
    with standing_demo(tmp_path) as (_, lines):
        mia, lena, noah = (ask(lines, f"/api/clients/{who}") for who in ("mia", "lena", "noah"))
        assert [one["status"] for one in (mia, lena, noah)] == ["active"] * 3
        # connected by Link, with a code
        types = [name for name, _ in happened(lines, "/api/clients/mia")]
        assert types == ["created", "awaiting_2fa", "activated"]
        (link,) = mia["linkSessions"]
        assert (link["status"], link["report"]["status"]) == ("completed", "success")
        assert [link["completedConnectionId"]] == [one["id"] for one in mia["connections"]]
        assert mia["connections"][0]["flags"] == []
        # late, expired, reconnected by Link in the same connection
        types = [name for name, _ in happened(lines, "/api/clients/lena")]
        assert types == ["created", "expired", "reconnected", "expired", "reconnected"]
        (link,), (connection,) = lena["linkSessions"], lena["connections"]
        assert link["connectionId"] == link["completedConnectionId"] == connection["id"]
        assert link["requestedAt"] <= link["completedAt"]
        # lost and repaired
        told, first = ask(lines, "/api/sweeps")["items"]
        assert (told["state"], told["repairs"], first["backfill"]) == ("valid", 1, True)
        # forked, connected twice, deleted with a proof
        (link,), (old, new) = noah["linkSessions"], noah["connections"]
        assert (link["connectionId"], link["completedConnectionId"]) == (old["id"], new["id"])
        assert (old["successorId"], new["predecessorId"]) == (new["id"], old["id"])
        assert (old["status"], new["status"]) == ("deleted", "active")
        entries = happened(lines, f"/api/connections/{old['id']}")
        assert entries[:2] == [("created", "sweep"), ("expired", "sweep")]
        assert [name for name, _ in entries[2:]] == ["forked", "deletion_requested", "deleted"]
        assert ask(lines, "/api/duplicates")["items"] == []
        assert ask(lines, "/api/parked")["items"][0]["reason"] == "not_json"


Lie = Callable[[Any, dict[str, Any]], Any]
"""Gives something else than the true answer; it is also told how was asked."""


def changed(**values: Any) -> Lie:
    """Change something in the answer, or in each of its items."""

    def lie(answer: Any, _: dict[str, Any]) -> Any:
        many = isinstance(answer, list)
        return [{**one, **values} for one in answer] if many else {**answer, **values}

    return lie


def known_all_along(client: Any, how: dict[str, Any]) -> Any:
    """Make no difference between what was true and what was known."""
    return {**client, "status": "active"} if "validAt" in how else client


LIES: dict[str, tuple[str, Lie]] = {
    "the state": ("client", changed(status="expired")),
    "the history": ("history", changed(type="connection.confirmed")),
    "the browser's report": ("link", changed(report={"status": "cancelled"})),
    "the proof": ("link", changed(completedAt="2026-01-01T00:00:00.000Z")),
    "the pass over the list": ("sweep", changed(repairs=0)),
    "the fork": ("connection", changed(successorId=None)),
    "the duplicates": ("duplicates", lambda *_: []),
    "the request": ("delete", changed(deletionRequestedAt=None)),
    "what was true, by both clocks": ("client", known_all_along),
    "the comparison": ("statuses", lambda told, _: dict.fromkeys(told, "active")),
}
"""By the step that notices it: which question is answered with a lie, and the lie."""


@pytest.mark.parametrize("noticed", LIES)
def test_a_step_that_does_not_come_true_ends_the_story(
    noticed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The narrator checks what it tells: a wrong answer is not told as a right one."""
    name, lie = LIES[noticed]
    true = getattr(Program, name)
    monkeypatch.setattr(Program, name, lambda *asked, **how: lie(true(*asked, **how), how))
    secret, token = Secret("whsec_YSBzZWNyZXQgb2YgdGhpcyB0ZXN0"), "a-token-of-this-test"
    environment = {
        **os.environ,
        "LEDGER_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "LEDGER_WEBHOOK_SECRETS": secret.value,
        "LEDGER_API_TOKENS": f"demo:read+write+admin:{token}",
        "LEDGER_OFAUTH_API_KEY": "any",
    }
    midnight = now_ms() // DAY_MS * DAY_MS - DAY_MS
    with Stage(tmp_path, environment, secret=secret, token=token, now=now_ms) as stage:
        tell, stranger = Teller(Console(quiet=True)), Secret("another")
        scene = Scene(stage, tell, midnight=midnight, stranger=stranger)
        with pytest.raises(NotTrue, match=f"at {noticed}: expected") as raised:
            perform(scene)
        assert "conn_" not in str(raised.value)
