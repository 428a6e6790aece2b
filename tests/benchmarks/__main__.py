"""`python -m tests.benchmarks [NAME…] [--quick]`: measure, and print one table.

Exit 1: a run must not be believed (an answer other than 2xx, too many repeats), or `wrk` is
missing. A missed bar is marked in the table and changes nothing else: it may be the machine.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Final

from tests.benchmarks import ingest, queries, rebuild
from tests.benchmarks.databases import Place, a_place
from tests.benchmarks.effort import QUICK, WHOLE, Effort
from tests.benchmarks.load import BenchError, find_wrk
from tests.benchmarks.table import Row, machine, write

BENCHMARKS: Final[dict[str, Callable[[Place, Effort], Iterator[Row]]]] = {
    "ingest": ingest.measure,
    "rebuild": rebuild.measure,
    "queries": queries.measure,
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    effort = QUICK if arguments.quick else WHOLE
    rows: list[Row] = []
    try:
        find_wrk()
        with a_place() as place:
            for name in arguments.names or BENCHMARKS:
                for row in BENCHMARKS[name](place, effort):
                    rows.append(row)
                    print(*row.cells, sep="  ", file=sys.stderr, flush=True)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    runs = (
        "one short run each" if effort.rounds == 1 else f"medians of {effort.rounds} runs in turn"
    )
    print(f"{machine()}; {runs}\n\n{write(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
