"""Runs a command that dies with its parent, however the parent dies.

    python -I -S bound_to_parent.py PARENT_PID SIGNAL COMMAND...

A supervisor killed with -9 cannot stop its children, so the kernel does: PR_SET_PDEATHSIG is set here, in a
fresh process without threads, and outlives the exec. (In a `preexec_fn` it would run Python between fork and
exec of a threaded process.) The signal comes when the *thread* that started this process ends, so a yard
is started from a thread that lives as long as it. Elsewhere than on Linux the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def bound(orphan_signal: int) -> tuple[str, ...]:
    """What to put before a command that shall get this signal when the calling thread's process is gone."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(orphan_signal))


def main(arguments: list[str]) -> None:
    """Bind this process to its parent, then become the command."""
    parent, signal_number, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
    if os.getppid() != int(parent):
        raise SystemExit(f"{command[0]} is not started: its supervisor {parent} is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
