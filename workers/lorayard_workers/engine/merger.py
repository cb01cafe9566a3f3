"""The thread that merges: it takes seconds, which neither steps nor loads should wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.engine.merging import Merged
from lorayard_workers.memory.packing import HostAdapter

_log = structlog.stdlib.get_logger(__name__)


class Merger:
    """Merges the adapter that was asked for last; its thread starts with the first request."""

    def __init__(
        self,
        *,
        read: Callable[[str], HostAdapter],
        merge: Callable[[HostAdapter], Merged],
        on_merged: Callable[[Merged], None],
        on_failed: Callable[[int], None],
    ) -> None:
        """The callbacks run on this thread; one of the last two for each request that was not overtaken.

        `on_failed` is given the number of the wish that the request came with.
        """
        self._read = read
        self._merge = merge
        self._on_merged = on_merged
        self._on_failed = on_failed
        self._changed = threading.Condition()
        self._wanted: tuple[str, int] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="adapter-merger", daemon=True)

    def request(self, digest: str | None, *, wish: int) -> None:
        """Merge this one next; None: nothing that has not begun."""
        with self._changed:
            self._wanted = None if digest is None else (digest, wish)
            if digest is not None and self._thread.ident is None and not self._stopping:
                self._thread.start()
            self._changed.notify_all()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread after the work in hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._wanted is not None)
                if self._stopping or self._wanted is None:
                    return
                (digest, wish), self._wanted = self._wanted, None
            try:
                merged = self._merge(self._read(digest))
            except Exception:  # noqa: BLE001  # whatever it is, the engine must go on as it was
                _log.exception(Event.ADAPTER_MERGE_FAILED, digest=digest)
                self._on_failed(wish)
            else:
                self._on_merged(merged)
