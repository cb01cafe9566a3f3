"""What an adapter's priority changes in plans, and what it leaves alone: a line of why on each case."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.planning.demand import Demand
from lorayard_dispatcher.planning.placement import Site, Wish, place
from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.prewarming import Prewarming
from lorayard_dispatcher.planning.values import Plan, Resident, WaitingJob, WorkerView

NOW = 1000.0
HIGH, LOW = 4.0, 0.25


def job(key: str, group: str, *, age: float = 1.0, tenant: str = "t", priority: int = 2) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant=tenant, priority=priority, enqueued_at=NOW - age)


def worker(
    rows: int = 1, *, holds: str = "", in_use: str = "", slots: int = 2, used: dict[str, float] | None = None
) -> WorkerView:
    """Adapters are single letters, all of them in host memory; each of those in use has a job."""
    resident = {
        adapter: Resident(
            jobs=int(adapter in in_use), loaded_at=NOW - 60.0, last_used=(used or {}).get(adapter, 0.0)
        )
        for adapter in holds + in_use
    }
    return WorkerView(
        worker="w",
        rows=rows + len(in_use),
        room=rows,
        in_flight=len(in_use),
        slots=slots,
        resident=resident,
        host=frozenset("abcdefgh"),
    )


def decide(
    jobs: list[WaitingJob],
    view: WorkerView,
    worth_of: dict[str, float],
    *,
    demand: dict[str, float] | None = None,
    policy: Policy | None = None,
) -> Plan:
    policy = policy or Policy(worth_of=worth_of)
    return plan(NOW, jobs, [view], {}, demand or {}, policy)


def first(made: Plan) -> str:
    return made.decisions[0].group


@pytest.mark.parametrize(
    ("ages", "worth_of", "loaded"),
    [
        pytest.param({"a": 1.5, "b": 1.0}, {}, "a", id="nobody said anything, so age decides"),
        pytest.param({"a": 1.5, "b": 1.0}, {"b": HIGH}, "b", id="one job counts as four"),
        pytest.param({"a": 1.5, "b": 1.0}, {"a": LOW}, "b", id="or as a quarter of one"),
        pytest.param({"a": 9.0, "b": 1.0}, {"b": HIGH}, "a", id="but who has waited long goes first"),
        pytest.param({"a": 16.0, "b": 14.9}, {"b": HIGH}, "a", id="and who is due before all"),
    ],
)
def test_a_slot_goes_to_whoever_releases_the_most_weighed_work(
    ages: dict[str, float], worth_of: dict[str, float], loaded: str
) -> None:
    jobs = [job(group, group, age=age) for group, age in ages.items()]
    assert first(decide(jobs, worker(), worth_of)) == loaded


@pytest.mark.parametrize(
    ("ages", "worth_of", "given"),
    [
        pytest.param({"a": 1.5, "b": 1.0}, {"b": HIGH}, "b", id="of the same age what counts more is first"),
        pytest.param({"a": 1.5, "b": 1.0}, {"c": HIGH}, "a", id="what counts alike goes by age"),
        pytest.param({"a": 5.0, "b": 1.0}, {"b": HIGH}, "a", id="two seconds older is older"),
        pytest.param({"a": 16.0, "b": 15.5}, {"b": HIGH}, "a", id="of those that are due the first is first"),
    ],
)
def test_warm_work_of_the_same_age_goes_by_priority(
    ages: dict[str, float], worth_of: dict[str, float], given: str
) -> None:
    jobs = [job(group, group, age=age) for group, age in ages.items()]
    assert first(decide(jobs, worker(holds="ab"), worth_of)) == given


def test_a_tenant_past_its_share_gains_nothing_by_it() -> None:
    policy = Policy(worth_of={"b": HIGH}, quantum_tokens=100.0)
    jobs = [job("1", "a", tenant="poor"), job("2", "b", tenant="rich")]
    made = plan(NOW, jobs, [worker()], {"rich": 5000.0, "poor": 0.0}, {}, policy)
    assert first(made) == "a"


def test_an_urgent_lane_stays_before_all_others() -> None:
    jobs = [job("1", "a", priority=0), job("2", "b", priority=3)]
    assert first(decide(jobs, worker(), {"b": HIGH})) == "a"


@pytest.mark.parametrize(
    ("worth_of", "demand", "used", "leaves"),
    [
        pytest.param({}, {"b": 0.2, "c": 0.3}, {}, "b", id="the least wanted leaves"),
        pytest.param({"b": HIGH}, {"b": 0.2, "c": 0.3}, {}, "c", id="weighed by what it counts"),
        pytest.param({"c": LOW}, {"b": 0.2, "c": 0.3}, {}, "c", id="in both directions"),
        pytest.param({"b": HIGH}, {}, {"b": 900.0, "c": 950.0}, "c", id="idle ones two minutes later"),
        pytest.param({"b": HIGH}, {}, {"b": 900.0, "c": NOW + 30}, "b", id="and no longer than that"),
    ],
)
def test_what_counts_more_leaves_later(
    worth_of: dict[str, float], demand: dict[str, float], used: dict[str, float], leaves: str
) -> None:
    made = decide([job("1", "a")], worker(holds="bc", used=used), worth_of, demand=demand)
    assert [decision.evicts for decision in made.decisions] == [leaves]


@pytest.mark.parametrize(("worth", "drains"), [(LOW, 0), (HIGH, 1)])
def test_a_slot_is_drained_sooner_for_what_counts_more(worth: float, drains: int) -> None:
    policy = Policy(worth_of={"c": worth}, service_seconds=1.5)
    coming = {"a": 0.5, "b": 0.5}  # 0.75 jobs while one runs, of 1.5 s: 1.1 s are lost, and 2 s were waited
    made = decide([job("c", "c", age=2.0)], worker(1, in_use="ab"), {}, demand=coming, policy=policy)
    assert len(made.drains) == drains


@pytest.mark.parametrize(("worth_of", "loaded"), [({"z": 1000.0}, "z"), ({}, "adapter-006")])
def test_among_hundreds_of_groups_those_that_count_more_are_looked_at(
    worth_of: dict[str, float], loaded: str
) -> None:
    """A look sees the oldest and the largest of them; a young one with one job is neither."""
    planner = Planner(Policy(worth_of=worth_of, sample=8))
    for number in range(300):
        planner.put(job(f"{number:03}", f"adapter-{number:03}", age=5.0))
    planner.put(job("z", "z", age=0.5))
    for step in range(20, 0, -1):
        planner.plan(NOW - step)  # nobody is there yet, and what came is no news any more
    planner.see(worker())
    assert first(planner.plan(NOW)) == loaded


def test_copies_are_brought_near_in_the_order_of_what_they_count() -> None:
    prewarming = Prewarming()
    prewarming.expect(["a", "b", "c", "d"])
    assert prewarming.next(Demand(), 3, NOW, {"d": HIGH, "a": LOW}) == ["d", "b", "c", "a"]


def test_who_counts_more_has_its_pin_where_a_fleet_has_shrunk() -> None:
    def held(worth: float) -> list[str]:
        wishes = [Wish(digest="a", pin=True), Wish(digest="b", pin=True, worth=worth)]
        targets = place([Site(worker="w", slots=2)], wishes)
        return [digest for digest, target in sorted(targets.items()) if target.replicas]

    assert held(1.0) == ["a"]
    assert held(HIGH) == ["b"]
