"""Logs: one line for each request, and nothing in them that is secret or personal.

Our own messages are written without ids on purpose. What libraries say is not: they format paths
and values into their messages, so of theirs only the place is written. Exceptions are written as
their class and frames, never with their text.
"""

import contextlib
import logging
import sys
import threading
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from pythonjsonlogger.json import JsonFormatter

REQUESTS: Final = logging.getLogger("api.requests")
"""Where each request's line goes."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that are written; anything else that a caller invents is not."""
EXTRAS: Final = ("method", "route", "status", "ms", "request", "token")
"""What a line may carry beside its message."""

SOON_S: Final = 0.1
"""How long a line may wait for others to be written with, in seconds."""
MOST_WAITING: Final = 10_000
"""How many lines may wait."""

_OWN = ("api", "ledger", "projections")


def configure(form: str, stream: TextIO) -> None:
    """Send every logger's lines to `stream`, as `text` or `json`."""
    handler = _Soon(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # one line for each request that waits for a thread, which is normal under load
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # no line says which thread or process it is of
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    threading.excepthook = _log_thread_death


def log_request(
    *, method: str, route: str, status: int, seconds: float, request: str, token: str = "-"
) -> None:
    """Write a request's line: the route's pattern instead of its path, a token's name, no query."""
    if not REQUESTS.isEnabledFor(logging.INFO):
        return
    # Made by hand: a logger would first walk the stack to find who calls it.
    record = logging.LogRecord(REQUESTS.name, logging.INFO, "", 0, "request", None, None)
    record.__dict__.update(
        method=method if method in METHODS else "-",
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        request=request,
        token=token,
    )
    REQUESTS.handle(record)


def safe_message(record: logging.LogRecord) -> str:
    """Give what may be written of a record's message."""
    if record.name.partition(".")[0] in _OWN:
        return record.getMessage()
    return f"message of a library, from {record.module}:{record.lineno}"


def safe_trace(error: BaseException) -> str:
    """Give an exception's class and frames, and those of its causes, without any text of theirs."""
    parts: list[str] = []
    following: BaseException | None = error
    while following is not None and len(parts) < 8:
        kind = type(following)
        frames = traceback.extract_tb(following.__traceback__)
        places = [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        parts.append("\n".join([f"{kind.__module__}.{kind.__qualname__}", *places]))
        following = following.__cause__ or following.__context__
    return "\ncaused by ".join(parts)


class _Soon(logging.Handler):
    """Writes lines a moment later, many at once; from a warning on, all of them at once.

    A write lets go of the interpreter's lock. With one for each request, made under the handler's
    lock, the threads of a busy service queue up to say what they did.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        # the newest ones, when nobody takes them
        self._waiting: deque[logging.LogRecord] = deque(maxlen=MOST_WAITING)
        self._some = threading.Event()
        threading.Thread(target=self._run, name="logs", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record; without the lock, under which others are being written."""
        self._waiting.append(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._some.is_set():
            self._some.set()
        return True

    def flush(self) -> None:
        """Write everything that waits; a stream that takes nothing is no reason to stop."""
        assert self.lock is not None
        with self.lock, contextlib.suppress(OSError, ValueError):
            lines = [self.format(self._waiting.popleft()) for _ in range(len(self._waiting))]
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()

    def _run(self) -> None:
        while self._some.wait():
            time.sleep(SOON_S)
            self._some.clear()
            self.flush()


class TextLines(logging.Formatter):
    """`time LEVEL logger message key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line = f"{_time(record)} {record.levelname} {record.name} {safe_message(record)}"
        for name, value in _extras(record).items():
            line += f" {name}={value}"
        error = _error(record)
        return line if error is None else f"{line}\n{safe_trace(error)}"


class JsonLines(JsonFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": safe_message(record),
        } | _extras(record)
        error = _error(record)
        if error is not None:
            line["exception"] = safe_trace(error)
        return self.serialize_log_record(line)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: record.__dict__[name] for name in EXTRAS if name in record.__dict__}


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _log_thread_death(args: threading.ExceptHookArgs) -> None:
    """Log a thread's end by an exception; Python's own hook would print the exception's text."""
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        error = args.exc_value
        logging.getLogger("api.threads").error(
            "a thread died", exc_info=(type(error), error, error.__traceback__)
        )
    sys.stderr.flush()
