"""When jobs come: moments in seconds of the run, in order. Pure, from a generator of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

BATCH_SECONDS: Final = 0.5
"""A backlog is handed in at once, as fast as a client can publish it."""

Times = Callable[[Random, float, float], Iterator[float]]
"""From a generator, a mean rate per second and the seconds that it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A time of its own rate; the phases follow one another in a ring, each of exponential length."""

    mean_seconds: float
    factor: float  # of the mean rate; 0: nothing comes


WAVES: Final = (Phase(mean_seconds=15.0, factor=0.5), Phase(mean_seconds=5.0, factor=2.5))
"""A quarter of the time two and a half times the mean rate, else half of it."""

CODE_BURSTS: Final = (Phase(mean_seconds=27.0, factor=0.0), Phase(mean_seconds=9.0, factor=4.0))
"""As completions of code come in Azure's trace of 2023: cut where two seconds bring nothing, it has 96
bursts, 9.0 s long on average and 27 s apart."""


def steady(random: Random, rate: float, seconds: float) -> Iterator[float]:
    """Poisson."""
    now = random.expovariate(rate)
    while now < seconds:
        yield now
        now += random.expovariate(rate)


def at_once(random: Random, rate: float, seconds: float) -> Iterator[float]:
    """A backlog of as many jobs; not in order."""
    for _ in range(max(1, int(rate * seconds))):
        yield random.random() * BATCH_SECONDS


def modulated(*phases: Phase) -> Times:
    """Poisson with a rate that changes.

    The phases are drawn first, so that they lie the same whatever the rate; Fischer and Meier-Hellstern, "The
    Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation 1993.
    """

    def times(random: Random, rate: float, seconds: float) -> Iterator[float]:
        now = 0.0
        for until, factor in list(_edges(random, phases, seconds)):
            if factor > 0.0:
                yield from (now + at for at in steady(random, rate * factor, until - now))
            now = until

    return times


def _edges(random: Random, phases: tuple[Phase, ...], seconds: float) -> Iterator[tuple[float, float]]:
    now = 0.0
    while now < seconds:
        for phase in phases:
            now += random.expovariate(1.0 / phase.mean_seconds)
            yield min(now, seconds), phase.factor
