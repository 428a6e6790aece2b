"""How many files a serving process may have open."""

import subprocess
import sys

import pytest

from api.server import FILES

PROGRAM = """
import resource, sys
from api.server import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(256, 4_096, FILES), (256, 512, 512), (3_000, 4_096, 3_000)]
)
def test_as_many_as_it_may_need_and_the_system_allows(soft: int, hard: int, then: int) -> None:
    """1,000 connections and the stores behind them do not fit into what most systems begin with."""
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == then
