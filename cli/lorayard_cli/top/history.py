"""What the numbers of the overview were over the last minutes, as far as this screen has seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorayard_schemas.snapshot import Overview, YardSnapshot

KEPT_SECONDS = 300.0
"""Long enough to see a trend, short enough that a character is a few seconds."""

_BLOCKS = "▁▂▃▄▅▆▇"
"""No full one: curves that stand under each other would become a wall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One of the numbers that are drawn."""

    title: str
    value: Callable[[Overview], float | None]


CURVES = (
    Curve(title="jobs/s", value=lambda overview: overview.jobs_per_second),
    Curve(title="tokens/s", value=lambda overview: overview.tokens_per_second),
    Curve(title="loads/s", value=lambda overview: overview.loads_per_second),
    Curve(title="hit rate", value=lambda overview: overview.hit_rate),
    Curve(title="waiting", value=lambda overview: float(overview.unfinished)),
)


class History:
    """The overviews of the last minutes, the oldest first."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, Overview]] = deque()

    def add(self, snapshot: YardSnapshot) -> None:
        """Take one more; one that was seen before, or a clock set back, adds nothing."""
        if self._past and snapshot.at <= self._past[-1][0]:
            return
        self._past.append((snapshot.at, snapshot.overview))
        while self._past[0][0] < snapshot.at - KEPT_SECONDS:
            self._past.popleft()

    def points(self, curve: Curve, width: int) -> list[float | None]:
        """Means of as many equal spans of time, the newest last; None: nothing was seen then."""
        if not self._past:
            return [None] * width
        begin, span = self._past[-1][0] - KEPT_SECONDS, KEPT_SECONDS / width
        spans: list[list[float]] = [[] for _ in range(width)]
        for at, overview in self._past:
            value = curve.value(overview)
            if value is not None:
                spans[min(width - 1, int((at - begin) / span))].append(value)
        return [sum(each) / len(each) if each else None for each in spans]


def spark(points: Sequence[float | None]) -> str:
    """A character for each: from the lowest, for nothing at all, to the highest for the peak."""
    peak = max((point for point in points if point is not None), default=0.0)
    return "".join(" " if point is None else _BLOCKS[_height(point, peak)] for point in points)


def _height(point: float, peak: float) -> int:
    return 0 if peak <= 0 else min(len(_BLOCKS) - 1, round(point / peak * (len(_BLOCKS) - 1)))
