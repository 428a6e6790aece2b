"""Files of requests that no secret verified, bounded in size and age.

A wrong secret must not cost deliveries: once it is corrected, each held request is checked against
the time at which it was *received* and recorded. Nothing here is trusted or parsed.
"""

import base64
import json
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

MAX_BODY: Final = 64 * 1024
"""The largest body that is held, in bytes."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""The most that all files take together; then nothing more is held until the oldest go."""
MAX_AGE_MS: Final = 7 * 24 * 3600 * 1000
"""How long a request is held, in milliseconds."""
MAX_PER_SECOND: Final = 10
"""How many requests are held in any one second, from all senders together."""
_SUFFIX: Final = ".held"
_PARTIAL: Final = ".partial"
_LONGEST_WRITE_MS: Final = 60_000
"""After this a file that is not complete was left by a process that was killed, milliseconds."""


@dataclass(frozen=True, slots=True)
class Held:
    """One request that waits for a right secret."""

    id: str
    received: int
    """When it came: milliseconds since the epoch, UTC."""
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Quarantine:
    """A folder of held requests; safe to use from many threads."""

    def __init__(self, folder: Path, *, entropy: Callable[[int], bytes]) -> None:
        """Hold requests in `folder`, which is made when the first one comes."""
        self._folder = folder
        self._entropy = entropy
        self._lock = threading.Lock()
        self._second = 0
        self._in_second = 0
        self._bytes = self._measure()

    def keep(self, headers: Sequence[tuple[str, str]], body: bytes, received: int) -> bool:
        """Hold a request received at `received` (milliseconds UTC); False when it is not held.

        The caller has checked that the headers form one complete dialect with a time near now.
        """
        if len(body) > MAX_BODY:
            return False
        held = {
            "received": received,
            "headers": [[name, value] for name, value in headers],
            "body": base64.b64encode(body).decode(),
        }
        content = json.dumps(held).encode()
        with self._lock:
            if not self._admit(received):
                return False
            self._expire(received)
            if not self._has_room(len(content)):
                return False
            self._write(f"{received:015d}-{self._entropy(8).hex()}", content)
            self._bytes += len(content)
            return True

    def list(self, *, after: str = "", limit: int | None = None) -> Sequence[Held]:
        """Give held requests, oldest first: at most `limit`, of those behind the id `after`.

        One that vanishes meanwhile is passed over.
        """
        ids = (file.name.removesuffix(_SUFFIX) for file in self._files())
        found = (self.get(id) for id in ids if id > after)
        return list(islice((held for held in found if held is not None), limit))

    def get(self, id: str) -> Held | None:
        """Give one held request, or None when there is none of that id."""
        try:
            content = json.loads(self._file(id).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        headers = tuple((str(name), str(value)) for name, value in content["headers"])
        return Held(id, int(content["received"]), headers, base64.b64decode(content["body"]))

    def remove(self, id: str) -> None:
        """Let go of a request, because it was recorded; one that is gone already is fine."""
        with self._lock:
            self._delete(self._file(id))

    def expire(self, now: int) -> None:
        """Let go of what is too old at `now` (milliseconds UTC), and of what a kill cut off."""
        with self._lock:
            self._expire(now)

    def erase(self, speaks: Callable[[bytes], bool]) -> int:
        """Let go of every request whose body speaks of somebody, and give how many there were.

        What a kill cut off cannot be read and goes as well.
        """
        with self._lock:
            self._delete_partial()
        found = [held.id for held in self.list() if speaks(held.body)]
        for id in found:
            self.remove(id)
        return len(found)

    def count(self) -> int:
        """Give how many requests are held."""
        return len(self._files())

    def _admit(self, received: int) -> bool:
        second = received // 1000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= MAX_PER_SECOND

    def _expire(self, now: int) -> None:
        self._delete_partial(now - _LONGEST_WRITE_MS)
        for file in self._files():
            if _received(file) >= now - MAX_AGE_MS:
                return
            self._delete(file)

    def _delete_partial(self, before: float = float("inf")) -> None:
        for file in self._files(_PARTIAL):
            if _received(file) < before:
                file.unlink(missing_ok=True)

    def _has_room(self, size: int) -> bool:
        if self._bytes + size > MAX_BYTES:
            # Others may have let go of some: `quarantine verify` in a process of its own.
            self._bytes = self._measure()
        return self._bytes + size <= MAX_BYTES

    def _measure(self) -> int:
        sizes = []
        for file in self._files():
            with suppress(FileNotFoundError):
                sizes.append(file.stat().st_size)
        return sum(sizes)

    def _write(self, id: str, content: bytes) -> None:
        if not self._folder.is_dir():
            # `parents=True` would make those readable for everybody.
            for folder in (*reversed(self._folder.parents), self._folder):
                folder.mkdir(mode=0o700, exist_ok=True)
        partial = self._file(id).with_suffix(_PARTIAL)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._file(id))

    def _delete(self, file: Path) -> None:
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            return
        self._bytes -= size

    def _files(self, suffix: str = _SUFFIX) -> Sequence[Path]:
        return sorted(self._folder.glob(f"*{suffix}")) if self._folder.is_dir() else []

    def _file(self, id: str) -> Path:
        return self._folder / f"{Path(id).name}{_SUFFIX}"


def _received(file: Path) -> int:
    """When a file's request came, by its name: milliseconds since the epoch, UTC."""
    return int(file.name.split("-", 1)[0])
