"""Rebuilds, one at a time: starts the process, follows it, publishes what it built, or ends it."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from ledger.domain.errors import LedgerError
from projections.errors import RebuildRunning, UnknownProjection
from projections.generations import Generations, generations_of
from projections.rebuild.job import Built, Difference, Failed, Job, Message, Progress
from projections.registry import PROJECTIONS

log = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 60.0
"""How long the end of a rebuild waits for this process to go over to what was built."""
DIED: Final = (
    "The rebuilding process ended without a word (exit code {}), and the views are as they were. "
    "The log may say why; rebuild again."
)
DIFFERENT: Final = (
    "The rebuilt views differ from the live ones, which stay as they are. Rebuild without --verify "
    "to go over to the rebuilt ones."
)

State = Literal["running", "done", "different", "failed", "cancelled"]
_decode: Final = msgspec.json.Decoder(Message).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """How far a rebuild has come, or how it ended."""

    state: State
    names: tuple[str, ...]
    generation: int
    """The number that its views have, or would have had."""
    verify: bool
    phase: str = "starting"
    """What it does: `starting`, `reading`, `indexing`, `comparing`, `catching up`, `switching`."""
    done: int = 0
    """Events that are in the new views."""
    total: int | None = None
    """Events to be read; None before that is known."""
    seconds: float = 0.0
    """How long it has taken so far, or took."""
    position: int | None = None
    """How far the new views had read when they were complete."""
    differences: tuple[Difference, ...] = ()
    """The first ones, when it was to compare."""
    detail: str | None = None
    """What went wrong, and what to do next."""

    @property
    def rate(self) -> float | None:
        """Events per second; None before the first."""
        return self.done / self.seconds if self.done and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """How long the reading may still take; None when there is nothing to reckon from."""
        if self.state != "running" or self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate


class Rebuilds:
    """Starts and ends rebuilds of one log's views, and remembers the last one."""

    def __init__(
        self,
        database_url: str,
        *,
        monotonic: Callable[[], float],
        switched: Callable[[int, float], bool] = lambda *_: True,
    ) -> None:
        """Rebuild the views of the log at this address; `monotonic` gives seconds.

        `switched` waits until this process reads a published generation, at most so many seconds.
        """
        self._url = database_url
        self._monotonic = monotonic
        self._switched = switched
        self._lock = threading.Lock()
        self._last: Rebuild | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._cancelled = False

    @property
    def last(self) -> Rebuild | None:
        """The running rebuild, or else the one that ended last; None when there was none."""
        return self._last

    def start(self, names: Sequence[str] = (), *, verify: bool = False) -> Rebuild:
        """Start to rebuild these projections, or all of them.

        Raises:
            UnknownProjection: there is none of this name.
            RebuildRunning: this or another process rebuilds the views already.
            StoreUnavailable: the views cannot be used.
        """
        for name in names:
            if name not in PROJECTIONS:
                raise UnknownProjection(name, PROJECTIONS)
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise RebuildRunning
            generations = generations_of(self._url)
            try:
                self._begin(generations, tuple(names) or tuple(PROJECTIONS), verify)
            except BaseException:
                generations.close()
                raise
            assert self._last is not None
            return self._last

    def cancel(self) -> Rebuild | None:
        """End the running rebuild and remove what it made; returns when that is done.

        One that is being published is not stopped any more. Gives None when none runs.
        """
        with self._lock:
            thread, process = self._thread, self._process
            if thread is None or process is None or not thread.is_alive():
                return None
            self._cancelled = True
            process.kill()
        thread.join()
        return self._last

    def wait(self, timeout: float | None = None) -> Rebuild | None:
        """Wait until no rebuild runs, at most `timeout` seconds; gives the last one."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return self._last

    def _begin(self, generations: Generations, names: tuple[str, ...], verify: bool) -> None:
        generation = generations.begin()
        job = Job(self._url, names, generation, verify)
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "projections.rebuild"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the process that asked: it decides what becomes of this one.
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it is dead already; who follows it says so
                process.stdin.write(msgspec.json.encode(job) + b"\n")
                process.stdin.flush()
            self._cancelled = False
            self._last = Rebuild(state="running", names=names, generation=generation, verify=verify)
            self._thread = threading.Thread(
                target=self._follow, args=(generations, process), name="rebuild", daemon=True
            )
            self._thread.start()
        except BaseException:
            self._tidy(generations, process)
            raise
        log.info("Rebuilding %s as generation %d", ", ".join(names), generation)

    def _follow(self, generations: Generations, process: "subprocess.Popen[bytes]") -> None:
        began = self._monotonic()
        try:
            built = self._listen(process, began)
            self._finish(generations, built)
        except LedgerError as error:
            self._note(began, state="failed", detail=str(error))
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence would be worse
            self._note(began, state="failed", detail=f"It failed ({type(error).__name__}).")
        finally:
            self._tidy(generations, process)
            self._note(began)
        assert self._last is not None
        log.info("The rebuild ended: %s", self._last.detail or self._last.state)

    def _listen(self, process: "subprocess.Popen[bytes]", began: float) -> Built | None:
        """Hear what the process tells until it ends; None when it built nothing."""
        assert process.stdout is not None
        told: Message | None = None
        for line in process.stdout:
            told = _decode(line)
            if isinstance(told, Progress):
                self._note(began, phase=told.phase, done=told.done, total=told.total)
        code = process.wait()
        if isinstance(told, Built) and code == 0:
            self._note(began, position=told.position, differences=told.differences)
            return told
        if self._cancelled:
            return None
        detail = told.reason if isinstance(told, Failed) else DIED.format(code)
        self._note(began, state="failed", detail=detail)
        return None

    def _finish(self, generations: Generations, built: Built | None) -> None:
        assert self._last is not None
        with self._lock:
            if self._cancelled:
                self._last = replace(self._last, state="cancelled", detail=None)
                return
            if built is None:
                return
            if built.differences:
                self._last = replace(self._last, state="different", detail=DIFFERENT)
                return
            self._last = replace(self._last, phase="switching")
            generations.publish(self._last.generation)
        if not self._switched(self._last.generation, SWITCH_SECONDS):
            log.error("The rebuilt views are complete, but this process does not go over to them")
        self._last = replace(self._last, state="done")

    def _tidy(self, generations: Generations, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            generations.end()
        except LedgerError as error:
            log.error("What the rebuild left is removed at the next start: %s", error)
        generations.close()

    def _note(self, began: float, **news: object) -> None:
        assert self._last is not None
        seconds = self._monotonic() - began
        self._last = replace(self._last, seconds=seconds, **news)  # type: ignore[arg-type]
