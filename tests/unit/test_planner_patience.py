"""What holds over many plans: nobody is kept waiting for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.pull_affinity import plan
from lorayard_dispatcher.planning.values import (
    Queue,
    Resident,
    WaitingJob,
    WorkerView,
)

NOW = 1000.0
URGENT, HIGH, NORMAL, BULK = range(4)


def queues(jobs: Iterable[WaitingJob]) -> dict[Queue, list[WaitingJob]]:
    waiting: dict[Queue, list[WaitingJob]] = {}
    for one in sorted(jobs, key=lambda one: one.order):
        waiting.setdefault((one.group, one.priority), []).append(one)
    return waiting


ROW_SECONDS = 0.5

STEP_SECONDS = 0.1


@dataclass
class _Yard:
    """Workers that run what every plan gives them, over many plans: the planner itself remembers nothing."""

    slots: int
    rows: int
    workers: int
    now: float = NOW
    waiting: list[WaitingJob] = field(default_factory=list[WaitingJob])
    running: dict[str, list[tuple[float, WaitingJob]]] = field(
        default_factory=dict[str, list[tuple[float, WaitingJob]]]
    )
    resident: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    longest_wait: dict[str, float] = field(default_factory=dict[str, float])

    def run(self, seconds: float, arrivals: Sequence[tuple[str, float]]) -> None:
        """`arrivals`: group and jobs per second."""
        number = 0
        for step in range(round(seconds / STEP_SECONDS)):
            self.now = NOW + step * STEP_SECONDS
            for group, rate in arrivals:
                due = int((step + 1) * STEP_SECONDS * rate) - int(step * STEP_SECONDS * rate)
                for _ in range(due):
                    number += 1
                    arrived = WaitingJob(
                        key=f"{number}", group=group, tenant="t", priority=NORMAL, enqueued_at=self.now
                    )
                    self.waiting.append(arrived)
            self._end_rows()
            self._plan()

    def _end_rows(self) -> None:
        for name in self._names():
            self.running[name] = [row for row in self.running.get(name, []) if row[0] > self.now]

    def _names(self) -> list[str]:
        return [f"w{number}" for number in range(self.workers)]

    def _view(self, name: str) -> WorkerView:
        in_use = frozenset(one.group for _, one in self.running[name] if one.group)
        return WorkerView(
            worker=name,
            room=self.rows - len(self.running[name]),
            resident={
                adapter: Resident(jobs=int(adapter in in_use))
                for adapter in {*self.resident.get(name, []), *in_use}
            },
            slots=self.slots,
        )

    def _plan(self) -> None:
        fleet = [self._view(name) for name in self._names()]
        made = plan(self.now, queues(self.waiting), fleet, {}, {}, Policy())
        jobs = {one.key: one for one in self.waiting}
        for decision in made.decisions:
            one = jobs[decision.job]
            self.waiting.remove(one)
            self.running[decision.worker].append((self.now + ROW_SECONDS, one))
            waited = self.now - one.enqueued_at
            self.longest_wait[one.group] = max(waited, self.longest_wait.get(one.group, 0.0))
            held = [group for group in self.resident.get(decision.worker, []) if group != one.group]
            self.resident[decision.worker] = [*held, one.group][-self.slots :]


@pytest.mark.parametrize(("slots", "workers"), [(1, 1), (2, 1), (1, 2)])
def test_adapters_that_always_have_work_do_not_keep_a_cold_one_out_for_ever(slots: int, workers: int) -> None:
    """B9: hot adapters keep every slot in use; the cold one still starts soon after its bound."""
    yard = _Yard(slots=slots, rows=4, workers=workers)
    hot = [(name, 8.0 * workers / slots) for name in "ab"[:slots]]

    yard.run(60.0, [*hot, ("z", 0.05)])

    bound = Policy().wait_bound_seconds[NORMAL]
    assert yard.longest_wait["z"] <= bound + 4 * ROW_SECONDS
    assert not any(one.group == "z" and yard.now - one.enqueued_at > bound + 2 for one in yard.waiting)
