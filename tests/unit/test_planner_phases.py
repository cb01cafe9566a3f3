"""The planner, phase by phase: a line of why on each case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorayard_dispatcher.planning.loads import MOST_READS
from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Plan,
    Prefetch,
    Resident,
    Source,
    WaitingJob,
    WorkerView,
)
from lorayard_dispatcher.planning.waits import WaitsFor

NOW = 1000.0
URGENT, HIGH, NORMAL, BULK = range(4)


def job(
    key: str, group: str = BASE_GROUP, *, priority: int = NORMAL, age: float = 1.0, tenant: str = "t"
) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant=tenant, priority=priority, enqueued_at=NOW - age)


def worker(
    name: str,
    rows: int = 1,
    *,
    holds: str = "",
    in_use: str = "",
    host: str = "abcdefgh",
    slots: int = 2,
    room: int | None = None,
    loaded_ago: float = 60.0,
) -> WorkerView:
    """Adapters are single letters; each of those in use has a job; its rows are free but for those jobs."""
    return WorkerView(
        worker=name,
        rows=rows + len(in_use),
        room=rows if room is None else room,
        in_flight=len(in_use),
        slots=slots,
        resident={
            adapter: Resident(jobs=int(adapter in in_use), loaded_at=NOW - loaded_ago)
            for adapter in holds + in_use
        },
        host=frozenset(host),
    )


def decide(jobs: list[WaitingJob], fleet: list[WorkerView], policy: Policy | None = None) -> Plan:
    return plan(NOW, jobs, fleet, {}, {}, policy or Policy())


def given(made: Plan) -> list[str]:
    return [f"{decision.job}:{decision.worker}:{decision.phase}" for decision in made.decisions]


def test_of_a_large_fleet_one_that_has_a_copy_and_a_row_is_found_among_many_that_have_one_of_them() -> None:
    full = [worker(f"full-{n:02}", 0, in_use="xy", host="axy") for n in range(30)]
    free = [worker(f"idle-{n:02}", 1, in_use="x", host="ax" if n == 2 else "x") for n in range(20)]
    planner = Planner()
    for view in (*full, *free):
        planner.see(view)
    planner.plan(NOW - 0.01)  # a whole look: the next plan sees only what is new
    planner.put(job("1", "a"))
    assert [(made.worker, made.source) for made in planner.plan(NOW).decisions] == [("idle-02", Source.HOST)]


def test_nothing_waits_or_nobody_is_there() -> None:
    assert decide([], [worker("w1")]) == Plan()
    assert decide([job("1")], []) == Plan()


def test_a_base_model_job_goes_to_the_least_filled_worker() -> None:
    made = decide([job("1")], [worker("w1", 1, in_use="a"), worker("w2", 1)])
    assert given(made) == ["1:w2:warm"]


def test_warm_work_goes_to_a_holder_the_oldest_first__b5() -> None:
    made = decide([job("1", "a", age=1), job("2", "a", age=2)], [worker("w1", 9), worker("w2", 1, holds="a")])
    assert given(made)[0] == "2:w2:warm"


def test_a_cold_adapter_is_loaded_where_a_host_copy_is() -> None:
    made = decide([job("1", "a")], [worker("w1", host=""), worker("w2", host="a")])
    assert given(made) == ["1:w2:load"]
    assert made.decisions[0].source is Source.HOST
    assert made.decisions[0].cost_seconds == pytest.approx(Policy().load_seconds_host)


def test_a_busy_worker_is_committed_to_two_reads_and_fetches_others_while_their_jobs_stay_free() -> None:
    planner = Planner()
    for key, group in (("1", "a"), ("2", "b"), ("3", "c")):
        planner.put(job(key, group))
    busy = worker("w1", 4, in_use="z", slots=8, host="z")
    planner.see(busy)
    made = planner.plan(NOW)
    assert len(given(made)) == 2
    (fetched,) = made.prefetches
    planner.see(replace(busy, room=2, in_flight=3, host=frozenset("abcz") - {fetched.adapter}))
    assert [one.group for one in planner.plan(NOW + 0.1).decisions] == [fetched.adapter]


def test_a_read_that_does_not_end_keeps_others_waiting_no_longer_than_a_copy_would() -> None:
    planner = Planner(Policy(early_reads=1))
    planner.put(job("1", "a"))
    loading = worker("w1", 4, in_use="az", slots=8, host="z")
    planner.see(worker("w1", 5, in_use="z", slots=8, host="z"))
    assert given(planner.plan(NOW)) == ["1:w1:load"]
    planner.put(job("2", "b"))
    planner.see(loading)
    assert given(planner.plan(NOW + Policy().fetch_seconds - 0.1)) == []
    planner.see(loading)
    assert given(planner.plan(NOW + Policy().fetch_seconds)) == ["2:w1:load"]


def test_an_adapter_is_drained_when_its_jobs_lose_less_than_those_for_a_slot_have_waited__b9() -> None:
    fleet = [worker("w1", 2, in_use="ab")]
    usual = Policy(service_seconds=4.0, wait_bound_seconds=(1000.0,))

    def drained(age: float, fleet: list[WorkerView], rate: float = 0.5) -> list[str]:
        made = plan(NOW, [job("1", "c", age=age)], fleet, {}, {"a": rate, "b": rate}, usual)
        return [drain.adapter for drain in made.drains]

    assert drained(7.0, fleet) == []  # two jobs come until its rows have ended, and wait 4 s each
    assert len(drained(9.0, fleet)) == 1
    assert len(drained(1.0, fleet, rate=0.01)) == 1
    others = [worker("w2", 0, in_use="ab"), worker("w1", 2, in_use="ab")]
    assert len(drained(2.0, others)) == 1  # where another worker serves them too they lose a second


def test_a_worker_with_enough_to_read_is_asked_for_no_more_while_another_is_not() -> None:
    slow = worker("w1", 1, in_use="bc", slots=3, host="")
    fast = replace(slow, worker="w2", load_seconds_disk=Policy().load_seconds_disk / 2)
    behind = {few: replace(fast, fetching=frozenset("stuvxyz"[:few])) for few in (MOST_READS - 1, MOST_READS)}
    made = {few: decide([job("1", "a")], [slow, view], Policy(early_reads=0)) for few, view in behind.items()}
    assert made[MOST_READS - 1].prefetches == (Prefetch(worker="w2", adapter="a"),)
    assert made[MOST_READS].prefetches == (Prefetch(worker="w1", adapter="a"),)


def test_a_load_that_a_later_lane_pays_for_serves_earlier_ones_first__b5() -> None:
    """Else their jobs would wait beside a holder with a free row."""
    elsewhere = replace(worker("w1", 1, holds="bc"), rows=0, base_digest="m")
    jobs = [job("0", "a", priority=URGENT), job("1", "c", priority=URGENT), job("2", "c", priority=HIGH)]
    able = replace(worker("w2", 2, holds="a", in_use="z", loaded_ago=0.5), base_digest="n")
    made = plan(NOW, jobs, [able, elsewhere], {}, {}, Policy(base_of={"a": "m", "c": "n"}, queue_from=0.0))
    assert [one.job for one in made.decisions if one.worker == "w2"] == ["1", "2"]


def test_a_copy_that_never_comes_is_not_waited_for__b6() -> None:
    planner = Planner(Policy(early_reads=0))
    planner.put(job("1", "a"))
    busy = worker("w1", 1, in_use="bc", slots=3, host="")
    planner.see(busy)
    assert planner.plan(NOW).prefetches
    planner.see(busy)
    assert given(planner.plan(NOW + 1)) == []
    planner.see(busy)
    assert given(planner.plan(NOW + Policy().fetch_seconds + 0.1)) == ["1:w1:load"]


def test_an_adapter_in_use_is_never_evicted() -> None:
    made = decide([job("1", "c")], [worker("w1", 2, in_use="ab")])
    assert given(made) == []


def test_the_least_wanted_adapter_leaves() -> None:
    jobs = [job("1", "c", age=2), job("2", "a", age=1, priority=BULK)]
    made = decide(jobs, [worker("w1", 1, holds="ab")])
    assert given(made) == ["1:w1:load"]
    assert made.decisions[0].evicts == "b"


def test_an_urgent_cold_job_goes_before_warm_bulk_work() -> None:
    made = decide([job("1", "a", priority=BULK), job("2", "b", priority=URGENT)], [worker("w1", holds="a")])
    assert given(made) == ["2:w1:load"]


def test_an_overdue_job_goes_before_warm_work__b9() -> None:
    made = decide([job("1", "a", age=16), job("2", "b", age=1)], [worker("w1", 1, holds="b")])
    assert given(made) == ["1:w1:overdue"]


def test_a_deadline_makes_a_job_overdue_in_time_for_its_service__b9() -> None:
    urgent = WaitingJob(
        key="1", group="a", tenant="t", priority=NORMAL, enqueued_at=NOW - 1, deadline=NOW + 3
    )
    made = decide([urgent, job("2", "b", age=2)], [worker("w1", 1, holds="b")])
    assert given(made) == ["1:w1:overdue"]


def test_where_every_slot_is_in_use_an_adapter_is_drained_for_an_overdue_one__b9() -> None:
    planner = Planner()
    planner.put(job("1", "c", age=16))
    planner.see(worker("w1", 2, in_use="ab"))
    made = planner.plan(NOW)
    assert given(made) == []
    (drain,) = made.drains
    assert drain.for_group == "c"
    planner.put(job("2", drain.adapter, age=2))
    assert given(planner.plan(NOW + 0.1)) == []  # it gets no new rows
    left = "ab".replace(drain.adapter, "")
    planner.see(worker("w1", 2, in_use=left, holds=drain.adapter))
    assert given(planner.plan(NOW + 0.2))[0] == "1:w1:hand_over"


def test_a_second_holder_is_made_when_waiting_takes_longer_than_a_load__b7() -> None:
    full = worker("w1", 0, in_use="a")
    assert given(decide([job("1", "a")], [full, worker("w2")])) == ["1:w2:spill"]
    slow = Policy(load_seconds_host=100.0)
    assert given(decide([job("1", "a")], [full, worker("w2")], slow)) == []


def test_a_hundred_requests_of_a_cold_adapter_load_it_once_where_it_has_room__c1() -> None:
    fleet = [worker(f"w{number}", 128) for number in range(8)]
    made = decide([job(f"{number:03d}", "a") for number in range(100)], fleet)
    assert len(made.decisions) == 100
    assert sum(decision.load for decision in made.decisions) <= 2


def test_no_job_queues_behind_full_rows_while_little_waits() -> None:
    holder = worker("w1", 0, in_use="a", room=2)
    slow = Policy(load_seconds_host=100.0)
    assert given(decide([job("1", "a")], [holder], slow)) == []
    many = [job(f"{number}", "a") for number in range(6)]
    assert len(decide(many, [holder], slow).decisions) == 2


def test_a_tenant_past_its_share_waits_for_those_who_are_not__b9() -> None:
    jobs = [job("1", "a", age=3, tenant="greedy"), job("2", "a", age=1, tenant="modest")]
    made = plan(NOW, jobs, [worker("w1", 1, holds="a")], {"greedy": 9_000.0, "modest": 0.0}, {}, Policy())
    assert given(made) == ["2:w1:warm"]


def test_but_no_row_stays_idle_for_fairness__b9() -> None:
    jobs = [job("1", "a", age=3, tenant="greedy"), job("2", "b", age=1, tenant="modest")]
    served = {"greedy": 9_000.0, "modest": 0.0}
    made = plan(NOW, jobs, [worker("w1", 3, in_use="a", slots=1)], served, {}, Policy())
    assert given(made) == ["1:w1:conserve"]


def test_a_job_given_away_waits_no_longer_and_counts_on_its_worker() -> None:
    planner = Planner()
    planner.see(worker("w1", 1))
    planner.put(job("1"))
    planner.put(job("2"))
    assert [decision.job for decision in planner.plan(NOW).decisions] == ["1"]
    assert planner.plan(NOW + 0.01) == Plan()
    assert len(planner) == 1
    planner.see(worker("w1", 1))
    assert [decision.job for decision in planner.plan(NOW + 0.02).decisions] == ["2"]


def test_what_is_taken_out_or_gone_is_not_planned() -> None:
    planner = Planner()
    planner.see(worker("w1", 2))
    planner.put(job("1"))
    assert planner.take("1") == job("1")
    assert planner.take("1") is None
    assert planner.plan(NOW) == Plan()
    planner.put(job("2"))
    planner.lose("w1")
    assert planner.plan(NOW + 1) == Plan()


def test_a_job_handed_back_is_planned_again_in_its_old_place() -> None:
    planner = Planner()
    planner.see(worker("w1", 1))
    first, second = job("1", age=2), job("2", age=1)
    planner.put(first)
    planner.put(second)
    planner.plan(NOW)
    planner.put(first)
    planner.see(worker("w1", 1))
    assert [decision.job for decision in planner.plan(NOW + 0.1).decisions] == ["1"]


@pytest.mark.parametrize(
    ("fleet", "waits_for"),
    [
        ([], WaitsFor.WORKER),
        ([worker("w1", 0, in_use="a", slots=1)], WaitsFor.ROW),
        ([worker("w1", 2, in_use="bc", slots=2)], WaitsFor.SLOT),
        ([worker("w1", 1, in_use="bc", slots=3, host="")], WaitsFor.COPY),
    ],
)
def test_a_job_that_waits_says_what_for(fleet: list[WorkerView], waits_for: WaitsFor) -> None:
    planner = Planner(Policy(turn_seconds=1e9, load_seconds_host=100.0, early_reads=0))
    planner.put(job("0", "a", age=2))
    planner.put(job("1", "a"))
    for view in fleet:
        planner.see(view)
    planner.plan(NOW)
    found = planner.why("1", NOW)
    assert found is not None
    assert (found.waits_for, found.ahead, found.overdue_at) == (waits_for, 1, NOW + 14)
    assert planner.why("2", NOW) is None


def test_of_groups_that_wait_alike_the_smallest_that_a_worker_decodes_goes_first__a3() -> None:
    """One that needs a load comes last, though it is older; one that is much older, first."""
    jobs = [
        *(job(f"a{n}", "a", age=20.5) for n in range(9)),
        *(job(f"b{n}", "b", age=20.1) for n in range(3)),
        *(job(f"c{n}", "c", age=20.9) for n in range(2)),
    ]
    fleet = [worker("w", 5, in_use="ab", slots=3)]
    policy = Policy(queue_from=1.0, wait_bound_seconds=(10.0,))
    assert [each[0] for each in given(decide(jobs, fleet, policy))] == ["b", "b", "b", "a", "a"]
    older = [*jobs, *(job(f"d{n}", "d", age=26.0) for n in range(2))]
    assert given(decide(older, fleet, policy))[0].startswith("d")
    strict = Policy(queue_from=1.0, wait_bound_seconds=(10.0,), alike_seconds=0.0)
    assert given(decide(jobs, fleet, strict))[0].startswith("c")


@pytest.mark.parametrize("columns", [0, 64], ids=["slots", "columns"])
def test_where_more_adapters_wait_than_rows_are_free_those_worth_the_most_are_loaded(columns: int) -> None:
    ages = dict.fromkeys("abcdef", 1.0) | {"g": 5.0, "h": 9.0, "z": 12.0}  # z is on disk only
    fleet = [replace(worker(name), columns=columns) for name in ("w1", "w2")]
    policy = Policy(columns_of=dict.fromkeys(ages, 16) if columns else {})
    made = decide([job(group, group, age=age) for group, age in ages.items()], fleet, policy)
    assert [decision.group for decision in made.decisions] == ["h", "g"]
