"""Time spent waiting is split into worker, swap, fairness and limit (F1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_dispatcher.planning.waits import Wait, WaitsFor
from lorayard_dispatcher.wait_causes import CAUSES, MOST_QUEUES, WaitCauses


def waiting(group: str, count: int) -> list[WaitingJob]:
    return [
        WaitingJob(key=f"{group}-{number}", group=group, tenant="t", priority=2, enqueued_at=0.0)
        for number in range(count)
    ]


def for_each(causes: dict[str, WaitsFor]) -> Callable[[str], Wait]:
    """Why a job waits, by its group."""

    def why(key: str) -> Wait:
        group = key.partition("-")[0]
        return Wait(job=waiting(group, 1)[0], waits_for=causes[group], ahead=0, overdue_at=0.0)

    return why


def test_every_cause_has_a_name() -> None:
    assert set(CAUSES) == set(WaitsFor)


def test_every_job_of_a_queue_waits_for_what_its_oldest_does() -> None:
    causes = WaitCauses()
    queues = {("a", 2): waiting("a", 3), ("b", 2): waiting("b", 2)}
    causes.look(0.5, queues, for_each({"a": WaitsFor.SLOT, "b": WaitsFor.SHARE}), held=4)
    assert causes.seconds == {"worker": 0, "swap": 1.5, "fairness": 1.0, "limit": 2.0, "plan": 0}


def test_some_of_many_queues_stand_for_all_and_each_has_its_turn() -> None:
    causes, count = WaitCauses(), MOST_QUEUES * 3
    queues = {(f"g{number}", 2): waiting(f"g{number}", 2) for number in range(count)}
    asked: list[str] = []
    why = for_each({group: WaitsFor.ROW for group, _ in queues})

    def noted(key: str) -> Wait:
        asked.append(key)
        return why(key)

    for _ in range(3):
        causes.look(1.0, queues, noted, held=0)
    assert len(asked) == len(set(asked)) == count
    assert causes.seconds["worker"] == pytest.approx(3 * 2 * count)


def test_a_job_that_left_meanwhile_waits_for_nothing() -> None:
    causes = WaitCauses()
    causes.look(1.0, {("a", 0): waiting("a", 1)}, lambda _: None, held=0)
    assert causes.seconds["plan"] == 1.0
