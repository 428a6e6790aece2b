"""`serve`, but it dies inside its n-th commit: a counted failpoint around the real commit.

Run as `python -m tests.acceptance.killable serve …` with `KILL_AT_COMMIT=<n>` and `KILL_WHERE`:
`before` the commit, `after` it and before anybody is told, or `inside` it: a timer of the kernel
ends the process without a handler somewhere in the commit's writes and fsync.

Or with `STOP_AT=<package.module:Class.method>`, `KILL_WHERE` and `STOP_HOW`: it is `killed` before
or after the first call of that method, or the work is `cut` there by an error of the store.

With `COMMANDS_AT_ONCE` set, commands that another process left open are looked for all the time.
"""

import os
import pkgutil
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from api import commanding
from api.cli import main
from ledger.domain.errors import StoreUnavailable
from ledger.recorders.postgres import PostgresLog
from ledger.recorders.sqlite import SQLiteLog

INSIDE_S = 0.00008
"""How long after the commit began the timer strikes, in seconds."""


def failing(commit: Callable[[Any, Any], None], at: int, where: str) -> Callable[[Any, Any], None]:
    """Wrap a log's commit so that the `at`-th one kills this process."""
    count = 0

    def commit_or_die(self: Any, connection: Any) -> None:
        nonlocal count
        count += 1
        if count == at and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if count >= at and where == "inside":
            signal.setitimer(signal.ITIMER_REAL, INSIDE_S)
        commit(self, connection)
        if count == at and where == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    return commit_or_die


def lazy(log: Any) -> None:
    """Let a log acknowledge each batch before its commit, which waits for the next one: a fault."""
    transact, commit = log.transact, log._commit
    waiting: list[Any] = []

    def transact_late(self: Any, *args: Any) -> Any:
        while waiting:
            commit(self, waiting.pop())
        return transact(self, *args)

    log.transact = transact_late
    log._commit = lambda _, connection: waiting.append(connection)


def stop_at(place: str, where: str, how: str) -> None:
    """Let this process die, or the work break off, `where` (`before` or `after`) the first call of
    a method, which is named like `package.module:Class.method`.
    """
    owner_name, _, name = place.rpartition(".")
    owner: Any = pkgutil.resolve_name(owner_name)
    method, left = getattr(owner, name), ["once"]

    def end() -> NoReturn:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise StoreUnavailable("The work was cut here, to see what becomes of it.")

    def method_or_end(self: Any, *args: Any, **named: Any) -> Any:
        if not left:
            return method(self, *args, **named)
        left.clear()
        if where == "before":
            end()
        method(self, *args, **named)
        return end()

    setattr(owner, name, method_or_end)


if __name__ == "__main__":
    where = os.environ["KILL_WHERE"]
    if place := os.environ.get("STOP_AT"):
        stop_at(place, where, os.environ["STOP_HOW"])
    if at := int(os.environ.get("KILL_AT_COMMIT", "0")):
        for log in (SQLiteLog, PostgresLog):
            log._commit = failing(log._commit, at, where)  # type: ignore[attr-defined]
    if os.environ.get("COMMANDS_AT_ONCE"):
        commanding.LOOK_S, commanding.OTHERS_MS = 0.1, 500  # type: ignore[misc]
    if os.environ.get("COMMIT_TOO_LATE"):
        lazy(SQLiteLog)
    sys.exit(main())
