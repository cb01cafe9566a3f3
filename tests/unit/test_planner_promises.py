"""What holds for every plan, whatever waits and whoever is there."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

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


def queues(jobs: Iterable[WaitingJob]) -> dict[Queue, list[WaitingJob]]:
    waiting: dict[Queue, list[WaitingJob]] = {}
    for one in sorted(jobs, key=lambda one: one.order):
        waiting.setdefault((one.group, one.priority), []).append(one)
    return waiting


def decide(jobs: Iterable[WaitingJob], fleet: Sequence[WorkerView], policy: Policy | None = None) -> Plan:
    return plan(NOW, queues(jobs), fleet, {}, {}, policy or Policy())


GROUPS = ["", "a", "b", "c", "d"]

adapters = st.frozensets(st.sampled_from(GROUPS[1:]), max_size=4)


@st.composite
def fleets(draw: st.DrawFn) -> list[WorkerView]:
    def view(number: int) -> WorkerView:
        slots = draw(st.integers(0, 3))
        in_use = frozenset(sorted(draw(adapters))[:slots])
        return WorkerView(
            worker=f"w{number}",
            room=draw(st.integers(0, 4)),
            resident={adapter: Resident(jobs=int(adapter in in_use)) for adapter in draw(adapters) | in_use},
            host=draw(adapters),
            slots=slots,
            base_digest=draw(st.sampled_from(["m", "n"])),
            lacks=draw(st.just(frozenset[str]()) | adapters),
        )

    return [view(number) for number in range(draw(st.integers(0, 4)))]


@st.composite
def waiting_jobs(draw: st.DrawFn) -> list[WaitingJob]:
    return [
        job(
            f"{number}",
            draw(st.sampled_from(GROUPS)),
            priority=draw(st.integers(0, 3)),
            age=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0, 6.0, 20.0, 100.0])),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


policies = st.builds(
    Policy,
    overdue_loads=st.integers(0, 2),
    base_of=st.dictionaries(st.sampled_from(GROUPS[1:]), st.sampled_from(["m", "n"])),
)


def _fits(view: WorkerView, group: str, policy: Policy) -> bool:
    if group == BASE_GROUP:
        return True
    return group not in view.lacks and policy.base_of.get(group, view.base_digest) == view.base_digest


@dataclass
class _Books:
    """The fleet after a plan, counted anew from its decisions."""

    jobs: dict[str, WaitingJob]
    views: dict[str, WorkerView]
    made: Plan

    def room(self, name: str) -> int:
        return self.views[name].room - sum(d.worker == name for d in self.made.decisions)

    def in_use(self, name: str) -> set[str]:
        given_here = {d.group for d in self.made.decisions if d.worker == name and d.group}
        return set(self.views[name].in_use) | given_here


@settings(max_examples=150)
@given(waiting_jobs(), fleets(), policies)
def test_no_plan_breaks_a_promise(jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy) -> None:
    made = decide(jobs, fleet, policy)
    books = _Books({one.key: one for one in jobs}, {view.worker: view for view in fleet}, made)
    twice = [key for key, times in Counter(d.job for d in made.decisions).items() if times > 1]
    assert not twice, "a job was given twice"
    assert all(books.jobs[d.job].group == d.group for d in made.decisions)
    for name, view in books.views.items():
        assert books.room(name) >= 0, "a worker got more than its room"
        assert len(books.in_use(name)) <= view.slots, "more adapters in use than slots"
        assert all(_fits(view, d.group, policy) for d in made.decisions if d.worker == name)


@settings(max_examples=150)
@given(waiting_jobs(), fleets(), policies)
def test_no_job_waits_that_a_worker_could_take(
    jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy
) -> None:
    """Conserve work: room stays free only when nothing that waits may go there."""
    made = decide(jobs, fleet, policy)
    books = _Books({one.key: one for one in jobs}, {view.worker: view for view in fleet}, made)
    left = [one for key, one in books.jobs.items() if key not in {d.job for d in made.decisions}]
    for one in left:
        for name, view in books.views.items():
            in_use = books.in_use(name)
            slot = not one.group or one.group in in_use or len(in_use) < view.slots
            drained = (name, one.group) in {(drain.worker, drain.adapter) for drain in made.drains}
            assert drained or not (books.room(name) > 0 and slot and _fits(view, one.group, policy)), (
                one,
                view,
            )


@settings(max_examples=80)
@given(waiting_jobs(), fleets(), policies, st.randoms(use_true_random=False))
def test_the_same_input_in_any_order_gives_the_same_plan(
    jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy, shuffle: random.Random
) -> None:
    made = decide(jobs, fleet, policy)
    mixed = list(queues(jobs).items())
    shuffle.shuffle(mixed)
    views = list(fleet)
    shuffle.shuffle(views)
    assert plan(NOW, dict(mixed), views, {}, {}, policy) == made


@settings(max_examples=80)
@given(waiting_jobs(), fleets(), policies)
def test_overdue_comes_first_then_each_lane_and_in_it_what_was_warm_before_what_is_loaded(
    jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy
) -> None:
    lanes = {one.key: one.priority for one in jobs}
    loaded: set[tuple[str, str]] = set()
    last, lane = Phase.OVERDUE, -1
    for decision in decide(jobs, fleet, policy).decisions:
        if decision.phase is Phase.OVERDUE:
            assert last is Phase.OVERDUE
            continue
        assert lanes[decision.job] >= lane, "a later lane went before an earlier one"
        if lanes[decision.job] > lane:
            last, lane = Phase.WARM, lanes[decision.job]
        if decision.phase is Phase.COLD:
            loaded.add((decision.worker, decision.group))
        elif last is Phase.COLD:
            assert (decision.worker, decision.group) in loaded, "it was warm before, and had to wait"
            continue
        last = decision.phase


@settings(max_examples=80)
@given(waiting_jobs(), fleets(), policies)
def test_overdue_jobs_force_no_more_loads_than_the_budget(
    jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy
) -> None:
    made = decide(jobs, fleet, policy)
    forced = Counter(d.worker for d in made.decisions if d.phase is Phase.OVERDUE and d.load)
    assert all(loads <= policy.overdue_loads for loads in forced.values())


@settings(max_examples=80)
@given(waiting_jobs(), fleets(), policies)
def test_of_one_group_and_lane_the_oldest_go_first(
    jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy
) -> None:
    gone = {decision.job for decision in decide(jobs, fleet, policy).decisions}
    for queue in queues(jobs).values():
        went = [one.key in gone for one in queue]
        assert went == sorted(went, reverse=True), "a younger job of the queue went before an older"
