"""A second process that tells a share of the streams, because folding keeps a processor busy.

It reads the log itself and hands over what the projections would write. The process that builds
writes that between what is its own: there is still one writer, and one transaction.
"""

import fcntl
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from io import FileIO
from typing import Final, cast

import msgspec

from projections.base import Projection
from projections.errors import RebuildFailed
from projections.rebuild.job import Failed, Job
from projections.rebuild.parcels import encode, pack, unpack
from projections.rebuild.process import begin, finish
from projections.rebuild.telling import Meant, meant, open_as_reader
from projections.registry import all_projections

AHEAD_BYTES: Final = 2**20
"""How much may wait to be written: a few parcels."""
DIED: Final = (
    "The helper of the rebuilding process ended too early, and the views are as they were. The log "
    "may say why; rebuild again."
)
_LENGTH: Final = 4
"""Bytes in front of a parcel, which say how many follow."""


class Helper(AbstractContextManager["Helper"]):
    """A running helper, and what comes from it."""

    def __init__(self, job: Job, projections: Sequence[Projection]) -> None:
        """Start one for a job with a share; `projections` are those that the job names."""
        self._projections = projections
        self._going = True
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._orders = cast(FileIO, self._process.stdin)
        self._parcels = cast(FileIO, self._process.stdout)
        self._room = bytearray(AHEAD_BYTES)
        with suppress(AttributeError, OSError):  # with less room it only waits more often
            fcntl.fcntl(self._parcels, fcntl.F_SETPIPE_SZ, AHEAD_BYTES)
        # Not closed before the end: a helper ends when nobody holds it any more.
        self._orders.write(msgspec.json.encode(job) + b"\n")

    def __exit__(self, *_: object) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._parcels.close()

    def meant(self, *, wait: bool) -> Iterator[Meant]:
        """Give what it has told until now or, with `wait`, until it is ready.

        Raises:
            RebuildFailed: it could not tell all of its share.
        """
        while self._going and (wait or select.select([self._parcels], [], [], 0)[0]):
            length = int.from_bytes(self._read(_LENGTH), "big")
            content = self._read(length)
            if not content:
                self._going = False
                if self._process.wait():
                    raise RebuildFailed(DIED)
                return
            parcel = unpack(self._projections, content)
            if isinstance(parcel, Failed):
                raise RebuildFailed(parcel.reason)
            yield parcel

    def _read(self, size: int) -> memoryview:
        """Read so many bytes; none when it has ended before. They are good until the next call."""
        if len(self._room) < size:
            self._room = bytearray(size)
        room, filled = memoryview(self._room)[:size], 0
        while filled < size:
            came = self._parcels.readinto(room[filled:])
            if not came:
                return room[:0]
            filled += came
        return room


def main() -> int:
    """Tell the share that the job names; returns the exit code."""
    job = begin()
    # The process that builds may be killed: then there is nobody to tell that to either.
    with suppress(BrokenPipeError):
        return finish(lambda: _tell_share(job), lambda failed: _put(encode(failed)))
    return 1


def _tell_share(job: Job) -> None:
    assert job.share is not None, "only a helper's job has a share"
    with closing(open_as_reader(job.database_url)) as log:
        projections = [one for one in all_projections(log.key) if one.name in job.names]
        for some in meant(log, projections, job.share):
            _put(pack(projections, some))


def _put(content: bytes) -> None:
    sys.stdout.buffer.write(len(content).to_bytes(_LENGTH, "big") + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
