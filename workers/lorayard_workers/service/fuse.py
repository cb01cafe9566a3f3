"""Ends a process that says no more that it lives, by another process that watches it.

    python -I -S fuse.py LOOK_SECONDS < how many looks to allow, line by line

A timer inside the process cannot tell a hang from a stop by a signal (Ctrl-Z, a paused container): it has run
out when the process goes on, and ended it then. This one counts its own looks, and none while the other is
stopped or both are. It imports nothing of ours: it costs 10 MB and starts in 20 ms.
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

LOOK_SECONDS = 1.0
STACKS_SIGNAL = signal.SIGUSR2
"""Has the process write down where its threads stand. SIGABRT would leave a core file as large as a model."""
STACKS_SECONDS = 1.0
_STOPPED = frozenset("Tt")


class Fuse:
    """The watched process's end."""

    def __init__(self) -> None:
        self._look_seconds = LOOK_SECONDS
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the process that watches."""
        return self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", __file__, str(self._look_seconds)]
        # In a session of its own: a terminal's signals are for who is watched.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
        )

    def arm(self, seconds: float) -> None:
        """End this process unless this is called again within so many seconds of its running."""
        if self._process.poll() is not None:
            self._process = self._start()  # somebody has ended it
        stdin = self._process.stdin
        assert stdin is not None, "it was asked for"
        with suppress(OSError):  # ended just now: the next call starts it again
            stdin.write(b"%d\n" % math.ceil(seconds / self._look_seconds))

    def end(self) -> None:
        """Nothing is to be ended any more."""
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.close()
        self._process.wait()


def watch(look_seconds: float) -> None:
    """Count looks until the watched process, our parent, is gone or was ended."""
    watched = os.getppid()
    left = math.inf
    while True:
        if select.select([0], [], [], look_seconds)[0]:
            said = os.read(0, 4096)
            if not said:
                return
            left = int(said.split()[-1])
        elif not _is_stopped(watched):
            left -= 1
            if left <= 0:
                _end(watched)
                return


def _is_stopped(process: int) -> bool:
    """By the kernel's word, on Linux; elsewhere nobody is."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # costs 5 MB
            return file.read().rpartition(") ")[2][:1] in _STOPPED
    except OSError:
        return False


def _end(process: int) -> None:
    for number, seconds in ((STACKS_SIGNAL, STACKS_SECONDS), (signal.SIGKILL, 0.0)):
        if os.getppid() == process:
            os.kill(process, number)
        time.sleep(seconds)


if __name__ == "__main__":
    watch(float(sys.argv[1]))
