"""Write a planner's recording to a file, one JSON line per entry, for a fault that has to be looked into."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path

import structlog

from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.recording import Entry, RecordedPlanner
from lorayard_shared.logs import Event

WRITE_GAP_SECONDS = 0.2
WAITING_MAX = 100_000
"""Entries in memory when the disk does not keep up; a recording with a gap is worth nothing, so it ends."""


class PlanLog:
    """Appends in a thread: no plan waits for the disk."""

    def __init__(self, path: Path, spawn: Callable[[Coroutine[object, object, object], str], None]) -> None:
        """The file is begun anew by the first entry."""
        self._path = path
        self._spawn = spawn
        self._mode = "w"
        self._waiting: list[Entry] = []
        self._writing = self._ended = False

    def write(self, entry: Entry) -> None:
        """Take one entry; the file has it a moment later."""
        if self._ended:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._end("the disk does not keep up")
            return
        self._waiting.append(entry)
        if not self._writing:
            self._writing = True
            self._spawn(self._run(), "plan-log")

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(WRITE_GAP_SECONDS)
                entries, self._waiting = self._waiting, []
                await asyncio.to_thread(self._append, entries)
        except OSError as error:
            self._end(str(error))
        finally:
            self._writing = False

    def _append(self, entries: list[Entry]) -> None:
        with self._path.open(self._mode, encoding="utf-8") as file:
            file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
        self._mode = "a"

    def _end(self, reason: str) -> None:
        self._ended = True
        self._waiting.clear()
        structlog.get_logger().error(Event.PLAN_LOG_ENDED, path=str(self._path), reason=reason)


def make_planner(
    policy: Policy, path: Path | None, spawn: Callable[[Coroutine[object, object, object], str], None]
) -> Planner:
    """A planner, recorded where there is a file for it."""
    return Planner(policy) if path is None else RecordedPlanner(policy, PlanLog(path, spawn).write)


def read_plan_log(path: Path) -> list[Entry]:
    """The entries of a file, for `replay`.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is not JSON.
    """
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
