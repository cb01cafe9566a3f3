"""The planner in trouble: what was seen to stop a yard, each with why."""

from __future__ import annotations

from collections import Counter

from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    USUAL_TOKENS,
    Phase,
    Plan,
    Resident,
    WaitingJob,
    WorkerView,
)

NOW = 1000.0
NOTHING = frozenset[str]()


def job(
    key: str, group: str, *, at: float = NOW, tenant: str = "t", deadline: float | None = None
) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant=tenant, priority=2, enqueued_at=at, deadline=deadline)


def worker(name: str, *, rows: int = 4, busy: str = "", slots: int = 2, **given: object) -> WorkerView:
    """With a job of each busy adapter, room for its free rows, and every adapter in host memory."""
    view = {
        "worker": name,
        "rows": rows,
        "room": rows - len(busy),
        "in_flight": len(busy),
        "slots": slots,
        "resident": {adapter: Resident(jobs=1) for adapter in busy},
        "host": frozenset("abcdefghxyz"),
        **given,
    }
    return WorkerView(**view)  # type: ignore[arg-type]  # a view's own fields


def given(made: Plan) -> list[str]:
    return [f"{decision.job}:{decision.worker}" for decision in made.decisions]


def test_a_flood_of_groups_past_their_share_hides_nobody__b9() -> None:
    """The oldest and the largest groups are all the flood's."""
    flood = [
        job(f"f{n:03d}-{k}", f"flood{n:03d}", at=NOW - 60, tenant="flood")
        for n in range(60)
        for k in range(9)
    ]
    planner = Planner(served={"flood": 1e6, "quiet": 0.0})
    for one in [*flood, job("quiet", "x", tenant="quiet")]:
        planner.put(one)
    planner.plan(NOW)  # nobody is there: it has been looked at once
    planner.see(worker("w1", slots=1))
    assert "quiet:w1" in given(planner.plan(NOW + 1))


def test_a_job_that_nobody_can_serve_does_not_hold_up_other_tenants__b9() -> None:
    planner = Planner(Policy(base_of={"x": "another model"}), served={"stuck": 0.0, "busy": 1e6})
    planner.put(job("stuck", "x", tenant="stuck"))
    planner.put(job("busy", "a", tenant="busy"))
    planner.see(worker("w1"))
    (decision,) = planner.plan(NOW).decisions
    assert (decision.job, decision.phase, decision.load) == ("busy", Phase.LOAD, True)


def served_beside_one_that_nobody_can_serve(planner: Planner, plans: int) -> Counter[str]:
    """A flood of old jobs and a modest tenant's younger ones share one row, plan by plan."""
    planner.put(job("stuck", "x", tenant="stuck", at=NOW - 60))
    for number in range(plans):
        planner.put(job(f"flood{number:03d}", "a", tenant="flood", at=NOW - 30))
        planner.put(job(f"modest{number:03d}", "a", tenant="modest"))
    went = Counter[str]()
    for number in range(plans):
        planner.see(worker("w1", rows=1, base_digest="here", resident={"a": Resident()}))
        went.update(one.job[:-3] for one in planner.plan(NOW + number).decisions)
    return went


def test_a_tenant_that_nobody_can_serve_does_not_undo_the_shares_of_the_others__b9() -> None:
    policy = Policy(base_of={"x": "elsewhere"}, quantum_tokens=500.0)
    went = served_beside_one_that_nobody_can_serve(Planner(policy), 80)
    assert went.total() == 80
    assert abs(went["flood"] - went["modest"]) * USUAL_TOKENS <= policy.quantum_tokens + USUAL_TOKENS


def test_a_tenant_that_can_be_served_again_has_saved_up_nothing__b9() -> None:
    policy = Policy(base_of={"x": "elsewhere"}, quantum_tokens=500.0)
    planner = Planner(policy)
    served_beside_one_that_nobody_can_serve(planner, 80)
    planner.see(worker("w2", rows=1, base_digest="elsewhere"))
    assert "stuck:w2" in given(planner.plan(NOW + 100))
    assert planner.served["stuck"] >= min(planner.served["flood"], planner.served["modest"])


def test_a_tenant_with_one_job_that_can_be_served_is_not_set_aside__b9() -> None:
    planner = Planner(
        Policy(base_of={"x": "elsewhere"}, quantum_tokens=0.0), served={"busy": 50.0, "mixed": 0.0}
    )
    planner.put(job("stuck", "x", tenant="mixed"))
    planner.put(job("young", "a", tenant="mixed"))
    planner.put(job("old", "a", tenant="busy", at=NOW - 1))
    planner.see(worker("w1", rows=1, base_digest="here", resident={"a": Resident()}))
    assert given(planner.plan(NOW)) == ["young:w1"]


def test_of_many_workers_those_that_can_are_found() -> None:
    full = [worker(f"full{n:02d}", rows=1, busy="a", room=2) for n in range(40)]
    free = [worker(f"free{n:02d}", busy="a", dedicated=None) for n in range(3)]
    for group in (BASE_GROUP, "a"):
        for number in range(8):
            made = plan(NOW, [job(f"{number}", group)], [*full, *free], {}, {}, Policy())
            assert made.decisions[0].worker.startswith("free")


def test_one_slot_is_promised_once() -> None:
    """Until the worker says otherwise its view shows the old adapter beside the one on its way."""
    planner = Planner()
    planner.put(job("1", "b"))
    planner.see(worker("w1", slots=1, resident={"a": Resident()}))
    assert given(planner.plan(NOW)) == ["1:w1"]
    planner.put(job("2", "c"))
    planner.see(worker("w1", slots=1, room=3, in_flight=1, resident={"a": Resident(), "b": Resident(jobs=1)}))
    assert given(planner.plan(NOW + 0.1)) == []


def test_a_drain_of_what_is_pinned_meanwhile_is_lifted() -> None:
    planner = Planner()
    planner.put(job("1", "c", at=NOW - 20))
    planner.see(worker("w1", busy="ab"))
    (drain,) = planner.plan(NOW).drains
    pinned = {name: Resident(jobs=1, pinned=name == drain.adapter) for name in "ab"}
    planner.see(worker("w1", busy="ab", resident=pinned))
    planner.put(job("2", drain.adapter))
    assert given(planner.plan(NOW + 0.1)) == ["2:w1"]


def test_one_group_drains_one_worker_however_many_lanes_it_waits_in() -> None:
    jobs = [
        WaitingJob(key=f"{lane}", group="c", tenant="t", priority=lane, enqueued_at=NOW - 3)
        for lane in range(4)
    ]
    fleet = [worker(f"w{n}", busy="ab") for n in range(4)]
    assert len(plan(NOW, jobs, fleet, {}, {}, Policy()).drains) == 1


def test_a_clock_that_is_set_back_an_hour_stops_nothing() -> None:
    planner = Planner(Policy(early_reads=0))
    planner.see(worker("w1", busy="ab", slots=3, host=NOTHING, rows=3))
    planner.put(job("1", "c"), NOW)
    assert given(planner.plan(NOW)) == []  # it is fetched first
    back = NOW - 3600
    decided = [one for second in range(6) for one in given(planner.plan(back + second))]
    assert decided == ["1:w1"]


def test_a_copy_that_was_asked_for_long_ago_is_asked_for_again() -> None:
    planner = Planner(Policy(early_reads=0))
    busy = worker("w1", busy="ab", slots=3, host=NOTHING, rows=3)
    planner.see(busy)
    planner.put(job("1", "c"))
    assert planner.plan(NOW).prefetches
    planner.take("1")
    planner.see(busy)
    planner.put(job("2", "c", at=NOW + 3600))
    made = planner.plan(NOW + 3600)
    assert (given(made), len(made.prefetches)) == ([], 1)


def test_a_job_that_is_put_again_does_not_lift_its_tenant__b9() -> None:
    planner = Planner(served={"low": 0.0, "high": 1500.0})
    for one in (job("1", "a", tenant="low"), job("2", "a", tenant="high"), job("1", "a", tenant="low")):
        planner.put(one)
    assert planner.served == {"low": 0.0, "high": 1500.0}


def test_jobs_near_their_deadline_are_all_given_the_earliest_first__b9() -> None:
    jobs = [job(f"{n}", "a", deadline=NOW + 3 - n / 10) for n in range(4)]
    made = plan(NOW, jobs, [worker("w1", resident={"a": Resident()})], {}, {}, Policy())
    assert given(made) == ["3:w1", "2:w1", "1:w1", "0:w1"]
    assert {decision.phase for decision in made.decisions} == {Phase.OVERDUE}
