"""The loader thread: whatever would make the engine wait happens here.

Adapters are loaded once however many ask (single flight per digest). What rows wait for comes before what
was only asked for ahead of time, and writing packed files between the two. Short tasks, such as turning a
prompt into tokens, overtake all that has not begun.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.pulse import Pulse

_log = structlog.stdlib.get_logger(__name__)

EWMA_SHARE = 0.2
"""Weight of the newest load time: about the last ten loads count."""

MAX_UNKEPT = 4
"""Adapters whose packed files wait to be written: they take memory beside the host tier's budget, so past
this many a load waits for the writing instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An adapter has reached the host tier."""

    adapter: HostAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """An adapter could not be loaded."""

    digest: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKept:
    """An adapter that nobody waits for found no room in host memory."""

    digest: str


LoadResult = Loaded | LoadFailed | NotKept


class Loader:
    """Owns the loader thread; see the module docstring."""

    def __init__(
        self,
        *,
        read: Callable[[str], HostAdapter],
        host: HostTier,
        on_result: Callable[[LoadResult], None],
        keep: Callable[[HostAdapter], None] | None = None,
    ) -> None:
        """`on_result` is called on the loader thread, once for each load; `keep` later, for what was read."""
        self._read = read
        self._host = host
        self._on_result = on_result
        self._keep = keep
        self._changed = threading.Condition()
        self._tasks: deque[Callable[[], None]] = deque()
        self._wanted: dict[str, None] = {}  # rows wait for them; in the order asked for
        self._ahead: dict[str, None] = {}  # nobody does, yet
        self._in_hand: str | None = None
        self._in_hand_is_wanted = False
        self._unkept: deque[HostAdapter] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="adapter-loader", daemon=True)
        self.disk_loads = 0
        self.load_ms = 0.0  # EWMA
        self.pulse = Pulse("adapter-loader")

    def start(self) -> None:
        """Start the thread. Call once."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread after the work in hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def load(self, digest: str) -> None:
        """Bring an adapter that rows wait for to host memory, before any that was only prefetched."""
        with self._changed:
            if digest == self._in_hand:
                self._in_hand_is_wanted = True
                return
            self._ahead.pop(digest, None)
            self._wanted.setdefault(digest)
            self._changed.notify_all()

    def prefetch(self, digest: str) -> None:
        """Bring an adapter that nobody waits for to host memory, when nothing else is to be done.

        It takes no room there from what rows need, nor from what was prefetched just before.
        """
        with self._changed:
            if digest != self._in_hand and digest not in self._wanted:
                self._ahead.setdefault(digest)
                self._changed.notify_all()

    def run_soon(self, task: Callable[[], None]) -> None:
        """Run a short task before any load that has not begun."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def run_tasks(self) -> None:
        """Run the short tasks that wait, between two parts of a long load. On other threads does nothing."""
        if threading.current_thread() is not self._thread:
            return
        while True:
            self.pulse.mark("a part of an adapter, or a prompt")
            with self._changed:
                task = self._tasks.popleft() if self._tasks and not self._stopping else None
            if task is None:
                return
            _guarded(task)

    def loading(self) -> frozenset[str]:
        """Adapters asked for and not yet there."""
        with self._changed:
            return frozenset((*self._wanted, *self._ahead, *([self._in_hand] if self._in_hand else ())))

    def _run(self) -> None:
        while True:
            with self._changed:
                self.pulse.rest()
                self._changed.wait_for(self._has_work)
                if self._stopping:
                    return
                work = self._next_work()
            self.pulse.mark("an adapter or a prompt")
            _guarded(work)

    def _has_work(self) -> bool:
        return bool(self._stopping or self._tasks or self._wanted or self._unkept or self._ahead)

    def _next_work(self) -> Callable[[], None]:
        if self._tasks:
            return self._tasks.popleft()
        if self._unkept and (len(self._unkept) > MAX_UNKEPT or not self._wanted):
            return partial(self._write, self._unkept.popleft())
        self._in_hand_is_wanted = bool(self._wanted)
        line = self._wanted or self._ahead
        self._in_hand = digest = next(iter(line))
        del line[digest]
        return lambda: self._on_result(self._load(digest))

    def _write(self, adapter: HostAdapter) -> None:
        assert self._keep is not None  # else nothing is unkept
        self._keep(adapter)

    def _load(self, digest: str) -> LoadResult:
        started = time.perf_counter()
        try:
            adapter = self._host.get(digest) or self._from_disk(digest, started)
        except Exception as error:  # noqa: BLE001  # whatever it is, whoever waits must hear of it
            return LoadFailed(digest=digest, error=error)
        finally:
            with self._changed:
                self._in_hand = None
        return NotKept(digest=digest) if adapter is None else Loaded(adapter=adapter)

    def _from_disk(self, digest: str, started: float) -> HostAdapter | None:
        adapter = self._read(digest)
        if not self._put(adapter):
            return None
        if self._keep is not None:
            self._unkept.append(adapter)
        took_ms = (time.perf_counter() - started) * 1000
        self.disk_loads += 1
        self.load_ms = self.load_ms + EWMA_SHARE * (took_ms - self.load_ms) if self.load_ms else took_ms
        _log.info(Event.ADAPTER_LOADED, digest=digest, load_ms=took_ms, size_bytes=adapter.size_bytes)
        return adapter

    def _put(self, adapter: HostAdapter) -> bool:
        """Into host memory; False if it was only prefetched, and room cannot be made for that."""
        # Under the lock: a row that wants it now must not be told that there was no room.
        with self._changed:
            if self._in_hand_is_wanted:
                self._host.put(adapter)
                return True
            if self._host.put_ahead(adapter):
                return True
            self._in_hand = None
            return False


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001  # one broken request must not stop every later load
        _log.exception(Event.LOADER_TASK_FAILED)
