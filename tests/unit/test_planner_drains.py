"""No wait for a slot hangs on one long row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorayard_cli.simulation.ours import PlannerRouter
from lorayard_cli.simulation.regimes import regime
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import Traffic
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Phase, Resident, WaitingJob, WorkerView

NOW = 1000.0
NORMAL = 1
BOUND = Policy().wait_bound_seconds[NORMAL]


def job(key: str, group: str, *, age: float = 0.0) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=NORMAL, enqueued_at=NOW - age)


def worker(name: str, rows: dict[str, int], *, slots: int = 2) -> WorkerView:
    """One with adapters in slots by the rows that decode with them, and every other one in host memory."""
    in_flight = sum(rows.values())
    return WorkerView(
        worker=name,
        rows=16,
        room=18 - in_flight,
        in_flight=in_flight,
        slots=slots,
        resident={digest: Resident(jobs=jobs, loaded_at=NOW - 60) for digest, jobs in rows.items()},
        host=frozenset("abcdefghxy"),
    )


def drains_of(planner: Planner, at: float) -> dict[str, str]:
    return {drain.worker: drain.for_group for drain in planner.plan(at).drains}


def two_drains() -> tuple[Planner, str, str]:
    """A planner that drains a slot for `x`, then one for `y`, which came later; and where."""
    planner = Planner()
    for name, rows in (("w1", {"a": 4, "b": 12}), ("w2", {"c": 5, "d": 11})):
        planner.see(worker(name, rows))
    planner.put(job("1", "x", age=1.2))
    ((of_x, _),) = drains_of(planner, NOW).items()
    planner.put(job("2", "y", age=0.8))
    ((of_y, _),) = drains_of(planner, NOW + 0.1).items()
    return planner, of_x, of_y


def test_the_slot_that_comes_free_first_goes_to_the_job_that_came_first__b9() -> None:
    planner, _, of_y = two_drains()
    planner.see(worker(of_y, {"b": 12, "a": 0} if of_y == "w1" else {"d": 11, "c": 0}))
    (given,) = planner.plan(NOW + 0.2).decisions
    assert (given.job, given.worker, given.phase) == ("1", of_y, Phase.HAND_OVER)


def test_and_the_other_one_takes_its_place__b9() -> None:
    planner, of_x, of_y = two_drains()
    planner.see(worker(of_y, {"b": 12, "a": 0} if of_y == "w1" else {"d": 11, "c": 0}))
    planner.plan(NOW + 0.2)
    planner.see(worker(of_x, {"b": 12, "a": 0} if of_x == "w1" else {"d": 11, "c": 0}))
    (given,) = planner.plan(NOW + 0.3).decisions
    assert (given.job, given.worker, given.phase) == ("2", of_x, Phase.HAND_OVER)


def test_the_longer_a_job_waits_the_more_slots_are_drained_for_it__b9() -> None:
    planner = Planner()
    for number, pair in enumerate(("ab", "cd", "ef", "gh")):
        planner.see(worker(f"w{number}", dict.fromkeys(pair, 8)))
    planner.put(job("1", "x"))
    parts = [0.1, 0.3, 0.45, 0.6]
    drained = [len(drains_of(planner, NOW + part * BOUND)) for part in parts]
    assert drained == [1, 1, 1, 1]


@pytest.mark.parametrize(("groups", "drained"), [("xy", 2), ("xyg", 0)])
def test_where_more_groups_wait_than_there_are_workers_nobody_hurries(groups: str, drained: int) -> None:
    planner = Planner()
    for name, pair in (("w1", "ab"), ("w2", "cd")):
        planner.see(replace(worker(name, dict.fromkeys(pair, 8)), room=0))
    for number, group in enumerate(groups):
        planner.put(job(f"{number}", group))
    assert len(drains_of(planner, NOW + 0.5 * BOUND)) == drained


def test_what_had_to_leave_is_gone_though_an_older_report_still_shows_it() -> None:
    planner = Planner()
    before = worker("w1", {"a": 0, "b": 4})
    planner.see(before)
    planner.put(job("1", "x"))
    (given,) = planner.plan(NOW).decisions
    assert given.evicts == "a"
    planner.put(job("2", "a"))
    planner.see(replace(before, resident={**before.resident, "x": Resident(jobs=1, loaded_at=NOW)}))
    assert [(made.job, made.phase) for made in planner.plan(NOW + 0.1).decisions] == []


def test_what_should_have_left_and_is_still_in_a_slot_gets_its_jobs() -> None:
    planner = Planner()
    before = worker("w1", {"a": 0, "b": 0})
    planner.see(before)
    planner.put(job("1", "x"))
    (given,) = planner.plan(NOW).decisions
    assert given.evicts is not None
    planner.put(job("2", given.evicts))
    stays = {given.evicts: Resident(loaded_at=NOW - 60), "x": Resident(jobs=1, loaded_at=NOW)}
    planner.see(replace(before, resident=stays, room=17, in_flight=1))
    assert [(made.job, made.phase) for made in planner.plan(NOW + 0.1).decisions] == [("2", Phase.WARM)]


@pytest.mark.parametrize(
    ("yard", "seed"), [("cold-blocking", 13), ("cold-blocking", 26), ("cold-staged", 7), ("cold-staged", 23)]
)
def test_no_cold_job_waits_past_its_bound_though_hot_ones_are_more_than_can_be_served__b9(
    yard: str, seed: int
) -> None:
    """Traffic in which it would wait for 9 to 11 s, were each drain for one group, and one for each group."""
    trial = Trial(cluster=regime(yard).cluster, traffic=Traffic(kind="cold", load=1.1), seed=seed)
    result = simulate(trial, "ours", PlannerRouter)
    assert result.waits_by_kind["cold"].longest < BOUND
