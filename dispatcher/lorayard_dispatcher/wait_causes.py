"""How much time jobs spend waiting, by what would let them go: worker, swap, fairness, limit.

By Little's law the time that jobs spend in a state is the number in it, added up over time. A look each
second at the oldest jobs of some queues costs little; to follow every job would cost every plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from lorayard_dispatcher.planning.values import Queue, WaitingJob
from lorayard_dispatcher.planning.waits import Wait, WaitsFor

LOOK_SECONDS = 1.0
MOST_QUEUES = 32
"""Looked at at once: with 64 workers each costs some 0.1 ms."""

LIMIT: Final = "limit"
CAUSES: Final[Mapping[WaitsFor, str]] = {
    WaitsFor.WORKER: "worker",
    WaitsFor.ROW: "worker",
    WaitsFor.HOME: "worker",
    WaitsFor.SHARE: "fairness",
    WaitsFor.COPY: "swap",
    WaitsFor.DRAIN: "swap",
    WaitsFor.SLOT: "swap",
    WaitsFor.PLAN: "plan",
}


class WaitCauses:
    """Seconds of waiting, summed over jobs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys((*CAUSES.values(), LIMIT), 0.0)
        self._turn = 0

    def look(
        self,
        seconds: float,
        queues: Mapping[Queue, Sequence[WaitingJob]],
        why: Callable[[str], Wait | None],
        *,
        held: int,
    ) -> None:
        """Add what has gone by since the last look; `held` jobs wait for a limit or a hold.

        Of many queues some are looked at in turn, and stand for all.
        """
        self.seconds[LIMIT] += held * seconds
        names = list(queues)
        if not names:
            return
        start = self._turn % len(names)
        chosen = (names[start:] + names[:start])[:MOST_QUEUES]
        self._turn = start + len(chosen)
        found = Counter[str]()
        for name in chosen:
            jobs = queues[name]
            wait = why(jobs[0].key)
            found["plan" if wait is None else CAUSES[wait.waits_for]] += len(jobs)
        share = sum(len(jobs) for jobs in queues.values()) / found.total()
        for cause, jobs_of in found.items():
            self.seconds[cause] += jobs_of * share * seconds
