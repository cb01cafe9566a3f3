"""The loader thread: whatever would make the engine wait happens here.

Adapters are loaded once however many ask (single flight per digest). Short tasks, such as turning a
prompt into tokens, overtake loads that have not begun; writing a packed file waits until nobody does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.packing import HostAdapter

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


LoadResult = Loaded | LoadFailed


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
        self._loads: deque[str] = deque()
        self._unkept: deque[HostAdapter] = deque()
        self._loading: set[str] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="adapter-loader", daemon=True)
        self.disk_loads = 0
        self.load_ms = 0.0  # EWMA

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
        """Bring an adapter to host memory unless that is already under way."""
        with self._changed:
            if digest in self._loading:
                return
            self._loading.add(digest)
            self._loads.append(digest)
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
            with self._changed:
                task = self._tasks.popleft() if self._tasks and not self._stopping else None
            if task is None:
                return
            _guarded(task)

    def loading(self) -> frozenset[str]:
        """Adapters asked for and not yet there."""
        with self._changed:
            return frozenset(self._loading)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._tasks or self._loads or self._unkept)
                if self._stopping:
                    return
                work = self._next_work()
            _guarded(work)

    def _next_work(self) -> Callable[[], None]:
        if self._tasks:
            return self._tasks.popleft()
        if self._unkept and (len(self._unkept) > MAX_UNKEPT or not self._loads):
            return partial(self._write, self._unkept.popleft())
        digest = self._loads.popleft()
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
                self._loading.discard(digest)
        return Loaded(adapter=adapter)

    def _from_disk(self, digest: str, started: float) -> HostAdapter:
        adapter = self._read(digest)
        self._host.put(adapter)
        if self._keep is not None:
            self._unkept.append(adapter)
        took_ms = (time.perf_counter() - started) * 1000
        self.disk_loads += 1
        self.load_ms = self.load_ms + EWMA_SHARE * (took_ms - self.load_ms) if self.load_ms else took_ms
        _log.info("adapter_loaded", digest=digest, load_ms=took_ms, size_bytes=adapter.size_bytes)
        return adapter


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001  # one broken request must not stop every later load
        _log.exception("loader_task_failed")
