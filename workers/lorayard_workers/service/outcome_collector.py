"""Carries outcomes from the engine's thread to the event loop, one wake-up for many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from lorayard_workers.engine.outcome import Outcome


class OutcomeCollector:
    """The sink of an engine's requests; made on the loop that takes what comes of them."""

    def __init__(self, take: Callable[[Sequence[Outcome]], None]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._outcomes: list[Outcome] = []
        self._lock = threading.Lock()

    def __call__(self, outcome: Outcome) -> None:
        """Called on the engine's thread."""
        # Under a lock: an outcome that came just as the loop took the last one would wake nobody.
        with self._lock:
            self._outcomes.append(outcome)
            first = len(self._outcomes) == 1
        if first:
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
        self._take(outcomes)
