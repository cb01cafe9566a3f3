"""How long a piece of work takes at its best."""

from __future__ import annotations

import time
from collections.abc import Callable

_TIMES = 3


def fastest_seconds(run: Callable[[], object]) -> float:
    """Of three: the machine may be busy with other things."""
    times: list[float] = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)
