"""Load by `wrk` from files of prepared requests."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 64
MOST_REPEATED: Final = 0.01
"""Share of the requests that may be sent a second time because the prepared ones ran out."""
SCRIPT: Final = Path(__file__).with_name("requests.lua")


class BenchError(Exception):
    """A run that must not be believed, or that cannot be made here; says what to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of `wrk` found."""

    rate: float
    """Answers per second."""
    p50: float
    """Milliseconds."""
    p99: float
    """Milliseconds."""


def find_wrk() -> str:
    """Give the path of `wrk`.

    Raises:
        BenchError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise BenchError("`wrk` makes the load and is not installed: apt-get install wrk")
    return found


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """Write a file that `requests.lua` reads."""
    with path.open("wb") as file:
        for one in requests:
            file.write(b"%08d" % len(one) + one)
    return path


def run(
    url: str,
    requests: Path,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    repeats: float = MOST_REPEATED,
) -> Load:
    """Send the requests of a file for some seconds.

    Raises:
        BenchError: an answer was not 2xx, a connection broke, or more than the share `repeats` of
            the requests was sent twice.
    """
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), url, "--", str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["refused"] or found["broken"] or not found["requests"]:
        raise BenchError(
            f"{url}: of {found['requests']} answers {found['refused']} were refusals, and "
            f"{found['broken']} requests broke; nothing of this run counts."
        )
    if found["sent"] > found["prepared"] * (1 + repeats):
        raise BenchError(
            f"{url}: {found['sent']} requests were sent and only {found['prepared']} prepared, "
            "the rest were repeats; prepare more of them."
        )
    rate = found["requests"] / (found["micros"] / 1e6)
    return Load(rate, found["p50"] / 1000, found["p99"] / 1000)
