"""The time of a yard in memory: it stands still until a test moves it."""

from __future__ import annotations

import time
from collections.abc import Callable


class YardClock:
    """Unix seconds of one yard, from the moment it was made."""

    def __init__(self) -> None:
        self._now = time.time()
        self._hooks: list[Callable[[], None]] = []

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so much time pass: what is due by then is due, leases and deadlines run out.

        Raises:
            ValueError: time does not run backwards.
        """
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds:g} seconds")
        self._now += seconds
        for hook in self._hooks:
            hook()

    def on_advance(self, hook: Callable[[], None]) -> None:
        """Call it whenever time has passed."""
        self._hooks.append(hook)
