"""The processor time that each process of a yard takes: noise on a shared machine hardly moves it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CLIENT = "client"
"""This process, which publishes and hears."""

_PROC = Path("/proc")
_USER, _SYSTEM = 11, 12
"""Fields of `/proc/PID/stat` behind the name, which may hold spaces (proc(5): utime, stime)."""


def processor_seconds(children: Mapping[str, int | None]) -> dict[str, float]:
    """Seconds so far by process, of the children and of this one; empty where there is no `/proc`."""
    if not (_PROC / "self" / "stat").exists():
        return {}
    pids = {CLIENT: os.getpid(), **children}
    return {name: _seconds(pid) for name, pid in pids.items() if pid is not None}


def microseconds_each(
    before: Mapping[str, float], after: Mapping[str, float], count: int
) -> dict[str, float]:
    """What one of `count` jobs took between two readings."""
    return {name: (seconds - before.get(name, 0.0)) / count * 1e6 for name, seconds in after.items()}


def _seconds(pid: int) -> float:
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK")
