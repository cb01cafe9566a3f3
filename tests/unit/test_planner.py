"""The planner, case by case, with a line of why on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.pull_affinity import plan
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Phase,
    Plan,
    Queue,
    Resident,
    WaitingJob,
    WorkerView,
)

NOW = 1000.0
URGENT, HIGH, NORMAL, BULK = range(4)


def job(key: str, group: str = BASE_GROUP, *, priority: int = NORMAL, age: float = 1.0) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=priority, enqueued_at=NOW - age)


def worker(
    name: str,
    room: int = 1,
    *,
    holds: str = "",
    in_use: str = "",
    host: str = "",
    slots: int = 2,
    lacks: str = "",
    dedicated: str | None = None,
) -> WorkerView:
    """Adapters are single letters; what is in use is held as well."""
    return WorkerView(
        worker=name,
        room=room,
        resident={adapter: Resident(jobs=int(adapter in in_use)) for adapter in holds + in_use},
        host=frozenset(host),
        slots=slots,
        base_digest="m",
        lacks=frozenset(lacks),
        dedicated=dedicated,
    )


def queues(jobs: Iterable[WaitingJob]) -> dict[Queue, list[WaitingJob]]:
    waiting: dict[Queue, list[WaitingJob]] = {}
    for one in sorted(jobs, key=lambda one: one.order):
        waiting.setdefault((one.group, one.priority), []).append(one)
    return waiting


def decide(jobs: Iterable[WaitingJob], fleet: Sequence[WorkerView], policy: Policy | None = None) -> Plan:
    return plan(NOW, queues(jobs), fleet, {}, {}, policy or Policy())


@dataclass(frozen=True, kw_only=True)
class Case:
    """What waits, who is there, and what must come of it (job:worker, in order)."""

    why: str
    jobs: list[WaitingJob]
    fleet: list[WorkerView]
    given: list[str]
    policy: Policy = field(default_factory=Policy)


CASES = [
    Case(why="nothing waits", jobs=[], fleet=[worker("w1")], given=[]),
    Case(why="nobody is there", jobs=[job("1")], fleet=[], given=[]),
    Case(why="no room, no hand-over", jobs=[job("1")], fleet=[worker("w1", 0)], given=[]),
    Case(
        why="room is not exceeded, the oldest go",
        jobs=[job("1", age=1), job("2", age=3), job("3", age=2)],
        fleet=[worker("w1", 2)],
        given=["2:w1", "3:w1"],
    ),
    Case(
        why="a holder is asked before a stranger with more room",
        jobs=[job("1", "a")],
        fleet=[worker("w1", 9), worker("w2", 1, holds="a")],
        given=["1:w2"],
    ),
    Case(
        why="warm work goes before an older job that costs a load",
        jobs=[job("1", "a", age=3), job("2", "b", age=1)],
        fleet=[worker("w1", 1, holds="b")],
        given=["2:w1"],
    ),
    Case(
        why="but no longer once the older one is overdue",
        jobs=[job("1", "a", age=16), job("2", "b", age=1)],
        fleet=[worker("w1", 1, holds="b")],
        given=["1:w1"],
    ),
    Case(
        why="one overdue load per worker and plan, then warm work first",
        jobs=[job("1", "a", age=17), job("2", "c", age=16), job("3", "b", age=1)],
        fleet=[worker("w1", 2, holds="b", slots=3)],
        given=["1:w1", "3:w1"],
    ),
    Case(
        why="overdue work on a holder costs no load, so it has no budget",
        jobs=[job("1", "a", age=17), job("2", "b", age=16), job("3", "c", age=1)],
        fleet=[worker("w1", 2, holds="ab", slots=3)],
        given=["1:w1", "2:w1"],
    ),
    Case(
        why="the overdue load budget does not idle a worker: conserve work",
        jobs=[job("1", "a", age=17), job("2", "b", age=16)],
        fleet=[worker("w1", 2)],
        given=["1:w1", "2:w1"],
    ),
    Case(
        why="urgent work that costs a load goes before warm bulk work",
        jobs=[job("1", "a", priority=BULK, age=20), job("2", "c", priority=URGENT, age=0)],
        fleet=[worker("w1", 1, holds="a")],
        given=["2:w1"],
    ),
    Case(
        why="the urgent lane goes first, however old the bulk is",
        jobs=[job("1", "a", priority=BULK, age=29), job("2", "a", priority=URGENT, age=0)],
        fleet=[worker("w1", 1, holds="a")],
        given=["2:w1"],
    ),
    Case(
        why="an urgent job is overdue sooner than a bulk job",
        jobs=[job("1", "a", priority=BULK, age=5), job("2", "b", priority=URGENT, age=5)],
        fleet=[worker("w1", 1, holds="a")],
        given=["2:w1"],
    ),
    Case(
        why="no load while every slot is in use: it would wait for a drain at the worker",
        jobs=[job("1", "c")],
        fleet=[worker("w1", 5, in_use="ab")],
        given=[],
    ),
    Case(
        why="an idle slot's adapter may be evicted for a load",
        jobs=[job("1", "c")],
        fleet=[worker("w1", 5, holds="b", in_use="a")],
        given=["1:w1"],
    ),
    Case(
        why="a held but idle adapter is as good as gone once the slots are promised to others",
        jobs=[job("1", "b", age=2), job("2", "c", age=1), job("3", "a", age=3)],
        fleet=[worker("w1", 5, holds="abc")],
        given=["3:w1", "1:w1"],
    ),
    Case(
        why="of two workers that must load, the one with a host copy",
        jobs=[job("1", "a")],
        fleet=[worker("w1", 9), worker("w2", 1, host="a")],
        given=["1:w2"],
    ),
    Case(
        why="of two holders the roomier",
        jobs=[job("1", "a")],
        fleet=[worker("w1", 1, holds="a"), worker("w2", 2, holds="a")],
        given=["1:w2"],
    ),
    Case(
        why="the base model needs no slot",
        jobs=[job("1"), job("2")],
        fleet=[worker("w1", 2, in_use="ab")],
        given=["1:w1", "2:w1"],
    ),
    Case(
        why="an adapter is not loaded beside another base model",
        jobs=[job("1", "a"), job("2", "b")],
        fleet=[worker("w1", 2)],
        given=["2:w1"],
        policy=Policy(base_of={"a": "another", "b": "m"}),
    ),
    Case(
        why="nor believed to be held there",
        jobs=[job("1", "a")],
        fleet=[worker("w1", 2, holds="a")],
        given=[],
        policy=Policy(base_of={"a": "another"}),
    ),
    Case(
        why="a worker that said it lacks the files is not asked again",
        jobs=[job("1", "a")],
        fleet=[worker("w1", 9, lacks="a"), worker("w2", 1)],
        given=["1:w2"],
    ),
    Case(
        why="a worker dedicated to an adapter is given nothing else, not even rows of the base model",
        jobs=[job("1", "a"), job("2", "b"), job("3", "")],
        fleet=[worker("w1", 9, holds="ab", dedicated="b"), worker("w2", 9, holds="a")],
        given=["1:w2", "2:w1", "3:w2"],
    ),
    Case(
        why="a load makes the worker a holder for the rest of the plan",
        jobs=[job("1", "a", age=2), job("2", "a", age=1)],
        fleet=[worker("w1", 2), worker("w2", 2)],
        given=["1:*", "2:*"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_the_first_planner(case: Case) -> None:
    made = decide(case.jobs, case.fleet, case.policy)
    if case.given and case.given[0].endswith("*"):
        assert len({decision.worker for decision in made.decisions}) == 1
        return
    assert [f"{decision.job}:{decision.worker}" for decision in made.decisions] == case.given


def test_every_decision_says_why_and_whether_it_costs_a_load() -> None:
    made = decide(
        [job("1", "a", age=20), job("2", "b", age=2), job("3", "c", age=1)],
        [worker("w1", 3, holds="b", slots=3)],
    )
    assert [(d.job, d.phase, d.load) for d in made.decisions] == [
        ("1", Phase.OVERDUE, True),
        ("2", Phase.WARM, False),
        ("3", Phase.COLD, True),
    ]
