"""What each adapter was asked for in the last minutes: plots of its page have a past when it is opened."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from lorayard_gateway.page.sight import Row

STEP_SECONDS = 5.0
POINTS = 180
"""A quarter of an hour while somebody looks at the page, twice that while nobody does."""

MOST_ADAPTERS = 1000
"""Those that were asked for first: 3 MB."""

NOTHING: Final = (0.0, 0.0, math.nan, math.nan)
"""Jobs/s, waiting jobs, seconds of p95 and of p50 from publish to result, where nobody asks."""

FIELDS: Final = len(NOTHING)

Point = tuple[float | None, ...]


class Pasts:
    """Of adapters that somebody asks for, all versions of a name together."""

    def __init__(self) -> None:
        self._at = deque[float](maxlen=POINTS)
        self._lines: dict[str, array[float]] = {}
        self._silent: dict[str, int] = {}
        """Points since it was asked for last."""

    def add(self, at: float, adapters: Mapping[str, Row]) -> None:
        """Take one look, of rows by `name@version`, unless the last one was just now."""
        if self._at and at < self._at[-1] + STEP_SECONDS:
            return
        full = len(self._at) == POINTS
        self._at.append(at)
        now = _asked(adapters)
        for name in now.keys() - self._lines.keys():
            if len(self._lines) < MOST_ADAPTERS:
                self._lines[name] = array("f", NOTHING * (len(self._at) - 1 + full))
        for name, line in list(self._lines.items()):
            if full:
                del line[:FIELDS]
            line.extend(now.get(name, NOTHING))
            self._silent[name] = 0 if name in now else self._silent[name] + 1
            if self._silent[name] >= POINTS:
                del self._lines[name], self._silent[name]

    def of(self, name: str) -> list[Point]:
        """`[at, jobs/s, waiting, p95, p50]` each, the oldest first."""
        line = self._lines.get(name)
        if line is None:
            return [(at, *_told(NOTHING)) for at in self._at]
        return [
            (at, *_told(line[place * FIELDS : (place + 1) * FIELDS])) for place, at in enumerate(self._at)
        ]


def _asked(adapters: Mapping[str, Row]) -> dict[str, tuple[float, ...]]:
    """By name: rates and waiting jobs of its versions added up, of latencies the longest."""
    found: dict[str, tuple[float, ...]] = {}
    for key, row in adapters.items():
        traffic = row["traffic"]
        if traffic is None and not row["waiting"]:
            continue
        name = key.rpartition("@")[0]
        rate, waiting, p95, p50 = found.get(name, NOTHING)
        if traffic is not None:
            rate += traffic["per_second"]
            p95, p50 = _longer(p95, traffic["p95_ms"] / 1000), _longer(p50, traffic["p50_ms"] / 1000)
        found[name] = (rate, waiting + row["waiting"], p95, p50)
    return found


def _longer(one: float, other: float) -> float:
    return other if math.isnan(one) else max(one, other)


def _told(fields: Iterable[float]) -> Point:
    return tuple(None if math.isnan(number) else float(f"{number:.3g}") for number in fields)
