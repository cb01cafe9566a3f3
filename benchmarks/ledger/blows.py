"""Which process is hit when, and how: drawn from the seed alone, and printed before it begins."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from random import Random
from typing import Final

GAP_SECONDS: Final = (0.6, 2.2)
"""Between two blows: processes are starting again at every moment of a run, and still some work is done."""
STOP_SECONDS: Final = (0.5, 5.0)
"""How long a process stands still: shorter and longer than a lease of 3 s."""
ALL_DISPATCHERS: Final = "dispatchers"
ALL_STOP_SECONDS: Final = (6.0, 9.0)
"""How long all dispatchers stand still together: workers pull by themselves after 5 s without one."""
SIGNALS: Final = {signal.SIGKILL: 6, signal.SIGTERM: 2, signal.SIGSTOP: 2}
"""Of ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One signal to one process."""

    at_seconds: float
    """After the first submit."""
    target: str
    signal: signal.Signals
    stop_seconds: float = 0.0
    """Of SIGSTOP: then it goes on."""

    def __str__(self) -> str:
        standing = f" for {self.stop_seconds:.1f} s" if self.stop_seconds else ""
        return f"{self.at_seconds:6.1f} s  {self.signal.name:<7}  {self.target}{standing}"


def draw_blows(draw: Random, targets: tuple[str, ...], seconds: float) -> list[Blow]:
    """Each target in turn, in an order drawn anew each round."""
    blows: list[Blow] = []
    at, turns = draw.uniform(*GAP_SECONDS), list[str]()
    while at < seconds:
        if not turns:
            turns = draw.sample(targets, len(targets))
        blows.append(_draw_blow(draw, turns.pop(), at))
        at += draw.uniform(*GAP_SECONDS)
    return blows


def _draw_blow(draw: Random, target: str, at: float) -> Blow:
    if target == ALL_DISPATCHERS:
        standing = draw.uniform(*ALL_STOP_SECONDS)
        return Blow(at_seconds=at, target=target, signal=signal.SIGSTOP, stop_seconds=standing)
    (number,) = draw.choices(list(SIGNALS), weights=list(SIGNALS.values()))
    standing = draw.uniform(*STOP_SECONDS) if number is signal.SIGSTOP else 0.0
    return Blow(at_seconds=at, target=target, signal=number, stop_seconds=standing)
