"""Ends a worker that makes no progress: it would renew its leases, and hold its jobs, for ever.

A hung step, a read that never returns or a blocked event loop leaves the process alive and deaf. The watchdog
has a thread of its own, writes down where every thread stands, and has the worker let go of its jobs and end,
so that whoever supervises it starts it again.

A process that was stopped by a signal for hours goes on as if nothing had been (its leases have run out, of
course): the time it stood still counts for no thread.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.errors import WorkerHungError
from lorayard_workers.pulse import Pulse
from lorayard_workers.service.fuse import STACKS_SIGNAL, Fuse

LOOKS = 8
"""In the time after which a thread counts as hung."""
MOST_LOOK_SECONDS = 1.0
LONGEST_PIECES = 2.0
"""A piece that takes this many times the longest so far is no longer slow but hung."""
ENDING_SECONDS = 20.0
"""How long the worker may take to let go and end; what holds it up then is the hang itself."""
STACK_CHARACTERS = 20_000
PAUSE_SHARE = 0.5
"""Of the time after which a thread counts as hung: between two looks the process stood still for so long. A
shorter stop does no harm by itself."""


def find_stall(pulses: Iterable[Pulse], now: float, stall_seconds: float) -> WorkerHungError | None:
    """The first thread that hangs at `now` (monotonic): one that was slow before gets the longer time."""
    for pulse in pulses:
        found = pulse.in_hand(now)
        if found is not None and found[1] > max(stall_seconds, LONGEST_PIECES * pulse.longest_seconds):
            return WorkerHungError(thread=pulse.name, piece=found[0], seconds=found[1])
    return None


class Watchdog:
    """Watches an engine's threads and the event loop that it was made on."""

    def __init__(
        self,
        pulses: Iterable[Pulse],
        *,
        stall_seconds: float,
        on_stall: Callable[[WorkerHungError, str], None],
        owns_process: bool,
    ) -> None:
        """`on_stall` is called on the watchdog's thread, with where every thread stands. `owns_process`: it
        may end it by force, too.

        By force means: when the loop does not end it after a stall, or no Python thread comes to run because
        foreign code keeps the interpreter's lock.
        """
        self._loop = asyncio.get_running_loop()
        self._loop_pulse = Pulse("event-loop")
        self._pulses = (*pulses, self._loop_pulse)
        self._stall_seconds = stall_seconds
        self._on_stall = on_stall
        self._owns_process = owns_process
        self._stall: asyncio.Future[WorkerHungError] = self._loop.create_future()
        self._stopping = threading.Event()
        self._fuse: Fuse | None = None
        self._looked_at: float | None = None
        self._longest = dict.fromkeys(self._pulses, 0.0)
        """As of the last look."""
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._log = structlog.get_logger()

    async def watch(self) -> None:
        """Watch until cancelled.

        Raises:
            WorkerHungError: a thread makes no progress.
        """
        self._thread.start()
        try:
            raise await asyncio.shield(self._stall)
        finally:
            self._stopping.set()

    def _run(self) -> None:
        look_seconds = min(MOST_LOOK_SECONDS, self._stall_seconds / LOOKS)
        found_before = False
        if self._owns_process:
            faulthandler.register(STACKS_SIGNAL, file=sys.__stderr__ or sys.stderr)
            self._fuse = Fuse()
        while not self._stopping.wait(look_seconds):
            self._note_pause()
            self._arm(self._limit_seconds() + ENDING_SECONDS)
            stall = find_stall(self._pulses, time.monotonic(), self._stall_seconds)
            # Twice in a row: after a stop shorter than a pause all pieces may look old at once.
            if stall is not None and found_before:
                self._give_up(stall)
                return
            found_before = stall is not None
            if self._loop_pulse.in_hand(time.monotonic()) is None:
                self._loop_pulse.mark("its calls")
                self._tell(self._loop_pulse.rest)
        self._disarm()

    def _give_up(self, stall: WorkerHungError) -> None:
        self._arm(ENDING_SECONDS)
        told = stacks()
        self._log.error(Event.WORKER_HUNG, reason=str(stall), stacks=told)
        self._on_stall(stall, told)
        self._tell(self._stall.set_result, stall)

    def _note_pause(self) -> None:
        """Forget the time in which the whole process stood still."""
        now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at > PAUSE_SHARE * self._stall_seconds:
            for pulse, longest in self._longest.items():
                pulse.begin_anew(now, longest_seconds=longest)
        self._looked_at = now
        self._longest = {pulse: pulse.longest_seconds for pulse in self._pulses}

    def _limit_seconds(self) -> float:
        longest = max(pulse.longest_seconds for pulse in self._pulses)
        return max(self._stall_seconds, LONGEST_PIECES * longest)

    def _tell(self, call: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(call, *values)

    def _arm(self, seconds: float) -> None:
        """End the process in so many seconds, unless this is called again: from without, as no thread of it
        may come to run."""
        if self._fuse is not None:
            self._fuse.arm(seconds)

    def _disarm(self) -> None:
        if self._fuse is not None:
            self._fuse.end()


def stacks() -> str:
    """Where every thread stands, cut to what a log line bears."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read(STACK_CHARACTERS).decode(errors="replace")
