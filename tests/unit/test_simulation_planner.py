"""The dispatcher's planner in a modelled yard, and what it believes of the workers there."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

import pytest

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadSettingError
from lorayard_cli.simulation.ours import PlannerRouter
from lorayard_cli.simulation.overlay import Overlay
from lorayard_cli.simulation.regimes import regime
from lorayard_cli.simulation.report import report
from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.router import Setup, Sight
from lorayard_cli.simulation.routers import ROUTERS
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.worker import ModelWorker
from lorayard_cli.simulation.workload import KINDS, Traffic, make_jobs
from lorayard_dispatcher.planning.values import WaitingJob

SMALL = Cluster(workers=3, rows=4, slots=2)
ONE = Cluster(workers=1, rows=4, slots=2, lookahead=1)


def job(key: str, group: str) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=1, enqueued_at=0.0)


def sight_of(*jobs: WaitingJob, at: float) -> Sight:
    worker = ModelWorker("worker-000", ONE)
    for waiting in jobs:
        worker.give(SimulatedJob(waiting=waiting, tokens=50.0), at)
    worker.advance(at)
    return report(worker, at, 0.1)


def overlay(*sights: Sight, given: Iterable[WaitingJob] = ()) -> Overlay:
    found = Overlay(ONE, 1.5)
    for waiting in given:
        found.give("worker-000", waiting)
    for sight in sights:
        found.see(sight)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dispatchers", [1, 3])
def test_planners_lose_no_job_and_give_none_twice(kind: str, dispatchers: int) -> None:
    traffic = Traffic(kind=kind, seconds=6.0, load=1.1)
    trial = Trial(cluster=SMALL, traffic=traffic, dispatchers=dispatchers, frozen_seconds=(1.0, 4.0))
    result = simulate(trial, "ours", PlannerRouter, audited=True)
    assert result.unfinished == 0
    assert result.jobs == len(make_jobs(traffic, SMALL, 0))


def test_the_planner_loads_less_often_than_a_free_worker_that_takes_what_it_holds() -> None:
    trial = Trial(cluster=regime("A").cluster, traffic=Traffic(seconds=30.0))
    ours, peer = (simulate(trial, name, ROUTERS[name]) for name in ("ours", "pull_aff"))
    assert ours.loads_per_1000 < peer.loads_per_1000
    assert ours.blocking_per_1000 < peer.blocking_per_1000


def test_the_planners_run_is_the_same_again() -> None:
    trial = Trial(cluster=SMALL, traffic=Traffic(kind="lanes", seconds=5.0), dispatchers=2)
    assert simulate(trial, "ours", PlannerRouter) == simulate(trial, "ours", PlannerRouter)


def test_what_was_handed_over_since_the_report_takes_room_and_its_adapter_a_slot() -> None:
    view = overlay(sight_of(at=0.0), given=[job("a", "x")]).view("worker-000", 0.1)
    assert (view.room, view.in_flight) == (4, 1)
    assert view.resident["x"].jobs == 1


def test_what_was_answered_since_the_report_takes_none() -> None:
    mine = job("a", "x")
    found = overlay(sight_of(mine, at=0.0), given=[mine])
    assert found.view("worker-000", 0.1).in_flight == 1
    found.done("worker-000", mine)
    view = found.view("worker-000", 0.1)
    assert (view.room, view.in_flight) == (5, 0)
    assert view.resident["x"].jobs == 0


def test_jobs_of_other_dispatchers_count_until_the_report_is_stale() -> None:
    found = overlay(sight_of(job("theirs", "x"), at=0.0), given=[job("mine", "y")])
    assert found.view("worker-000", 1.5).in_flight == 2
    assert found.view("worker-000", 1.6).in_flight == 1
    assert found.stale(1.6) == {"worker-000"}


def test_what_a_worker_says_of_its_load_is_believed_before_an_older_report() -> None:
    found = overlay(sight_of(job("1", "a"), job("2", "b"), at=5.0))
    adapters = found.view("worker-000", 5.1).resident.keys()
    assert found.hear("worker-000", {"1"}, 6.0)
    assert not found.hear("worker-000", {"1", "2"}, 5.5)
    assert found.view("worker-000", 6.1).in_flight == 1
    assert found.view("worker-000", 6.1).resident.keys() == adapters


class Watched(PlannerRouter):
    """Keeps what workers answered."""

    most = 0
    sent_back = 0

    def hear(self, worker: str, holding: Set[str], now: float) -> None:
        self.most = max(self.most, len(holding))
        super().hear(worker, holding, now)

    def refused(self, job: WaitingJob, worker: str) -> None:
        self.sent_back += 1
        super().refused(job, worker)


def test_a_job_that_a_worker_refused_is_planned_again() -> None:
    """Dispatchers that see the same free rows fill them twice, but no worker takes more than its room."""
    cluster = replace(SMALL, workers=2, adapters=8)
    trial = Trial(cluster=cluster, traffic=Traffic(kind="batch", seconds=30.0), dispatchers=4)
    routers: list[Watched] = []

    def made(setup: Setup) -> Watched:
        routers.append(Watched(setup))
        return routers[-1]

    result = simulate(trial, "ours", made, audited=True)
    assert result.unfinished == 0
    assert routers[0].sent_back > 0
    assert routers[0].most == cluster.rows + cluster.lookahead


def test_a_view_is_as_old_as_its_report() -> None:
    assert overlay(sight_of(at=1.0)).view("worker-000", 1.25).age_seconds == pytest.approx(0.25)


def test_a_policy_may_differ_and_an_unknown_setting_is_refused() -> None:
    trial = Trial(traffic=Traffic(kind="flood", seconds=25.0, load=1.3))
    usual = simulate(trial, "ours", PlannerRouter)
    unfair = simulate(replace(trial, options={"quantum_tokens": 1e12}), "ours", PlannerRouter)
    assert usual.waits_by_kind["good"].p95 < unfair.waits_by_kind["good"].p95
    with pytest.raises(BadSettingError, match="quantum: is not a part of the policy"):
        simulate(replace(trial, options={"quantum": 1.0}), "ours", PlannerRouter)


def test_adapters_with_priority_wait_less_and_no_others_wait_past_their_bound__b7__b9() -> None:
    cluster, traffic = regime("A").cluster, Traffic(load=1.05, seconds=15.0)
    found: dict[float, SimResult] = {}
    for worth in (1.0, 4.0):
        jobs = make_jobs(traffic, cluster, 1)
        preferred = sorted({one.adapter for one in jobs})[::4]
        for one in jobs:
            one.kind = "high" if one.adapter in preferred else "usual"
        options = {"worth_of": dict.fromkeys(preferred, worth)}
        trial = Trial(cluster=cluster, traffic=traffic, seed=1, jobs=jobs, options=options)
        found[worth] = simulate(trial, "ours", PlannerRouter, audited=True)
    before, after = found[1.0], found[4.0]
    assert after.waits_by_kind["high"].p95 < 0.8 * before.waits_by_kind["high"].p95
    assert after.waits_by_kind["usual"].longest < 15.0
    assert after.jobs_per_second > 0.95 * before.jobs_per_second
