"""The first planner (A3, B6): a table of what goes where and why, and what always holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_dispatcher.planning.pull_affinity import plan
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Drain,
    Phase,
    Plan,
    Policy,
    Queue,
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
        holds=frozenset(holds + in_use),
        in_use=frozenset(in_use),
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


# ---- what holds for every input

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
            holds=draw(adapters) | in_use,
            host=draw(adapters),
            in_use=in_use,
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
            drained = Drain(worker=name, adapter=one.group) in made.drains
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
            holds=frozenset(self.resident.get(name, [])) | in_use,
            in_use=in_use,
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
