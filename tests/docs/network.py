"""A network of its own for each page, so that the ports which it names are free.

Whatever else listens on this machine, and however many pages run at once. Not every system allows
it: containers often do not.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys

WITH_LOOPBACK = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
    fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@functools.cache
def own_network() -> tuple[str, ...]:
    """Return the words that run a command in a network of its own; none where that is refused."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    words = ("unshare", *user, "--net", sys.executable, "-c", WITH_LOOPBACK)
    try:
        tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return ()
    return words if tried.returncode == 0 else ()
