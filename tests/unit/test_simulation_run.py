"""A simulated run: the same each time, every job exactly once, whatever the router does."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from statistics import fmean

import pytest

from lorayard_cli.simulation.arrivals import CODE_BURSTS, WAVES, modulated
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadOrderError, BadSettingError
from lorayard_cli.simulation.ours import PlannerRouter, usual_policy
from lorayard_cli.simulation.regimes import REGIMES, regime
from lorayard_cli.simulation.router import Desk, HandOver, Orders, Setup, Sight
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.saturation import saturation
from lorayard_cli.simulation.sizes import SIZES
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import KINDS, Traffic, make_jobs
from lorayard_dispatcher.planning.values import WaitingJob

SHORT = Trial(cluster=Cluster(workers=3, rows=4, slots=2), traffic=Traffic(seconds=6.0))


class Pushing:
    """Gives every job to the first worker, at once."""

    def __init__(self, setup: Setup) -> None:
        self.worker = setup.cluster.names[0]
        self.times = int(str(setup.options.get("times", 1)))
        self.jobs: list[str] = []
        self.ages: list[float] = []
        self.answered: list[str] = []

    def arrive(self, job: WaitingJob, now: float) -> None:
        del now
        self.jobs.append(job.key)

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        del worker, tokens, now
        self.answered.append(job.key)

    def see(self, sights: Sequence[Sight], now: float) -> None:
        self.ages += [now - sight.at for sight in sights]

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        del now, desks
        given = [HandOver(job=job, worker=self.worker) for job in self.jobs for _ in range(self.times)]
        self.jobs.clear()
        return Orders(hand_overs=given)


@pytest.mark.parametrize("kind", KINDS)
def test_every_job_is_answered_once_and_the_books_agree_at_every_moment(kind: str) -> None:
    trial = replace(SHORT, traffic=Traffic(kind=kind, seconds=6.0, load=1.1))
    for staging in (False, True):
        result = simulate(
            replace(trial, cluster=replace(trial.cluster, staging=staging)),
            "ours",
            PlannerRouter,
            audited=True,
        )
        assert result.unfinished == 0
        assert result.jobs == len(make_jobs(trial.traffic, trial.cluster, trial.seed))
        assert result.waits.jobs == result.jobs


def test_a_run_is_the_same_in_every_process() -> None:
    script = (
        "from lorayard_cli.simulation.ours import PlannerRouter\n"
        "from lorayard_cli.simulation.run import simulate\n"
        "from lorayard_cli.simulation.trial import Trial\n"
        "from lorayard_cli.simulation.workload import Traffic\n"
        "import json\n"
        "result = simulate(Trial(traffic=Traffic(seconds=5.0)), 'ours', PlannerRouter).as_dict()\n"
        "print(json.dumps({k: v for k, v in result.items() if not k.startswith('plan')}))\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    here = simulate(Trial(traffic=Traffic(seconds=5.0)), "ours", PlannerRouter).as_dict()
    assert json.loads(told[0])["waits"] == here["waits"]


def test_another_seed_is_another_run() -> None:
    one, other = (simulate(replace(SHORT, seed=seed), "ours", PlannerRouter) for seed in (1, 2))
    assert one.waits != other.waits


def test_staging_has_no_blocking_disk_loads_and_shorter_waits() -> None:
    blocking, staged = (
        simulate(
            Trial(cluster=regime(name).cluster, traffic=Traffic(seconds=20.0, load=0.7)),
            "ours",
            PlannerRouter,
        )
        for name in ("B", "B-staged")
    )
    assert blocking.blocking_per_1000 > 0.0
    assert staged.blocking_per_1000 == 0.0
    assert staged.stalled_share < blocking.stalled_share
    assert staged.waits.p95 < blocking.waits.p95


def test_a_job_handed_over_twice_ends_the_run() -> None:
    with pytest.raises(BadOrderError, match="does not wait"):
        simulate(replace(SHORT, options={"times": 2}), "pushing", Pushing)


def test_reports_are_as_old_as_the_trial_says() -> None:
    made: list[Pushing] = []

    def maker(setup: Setup) -> Pushing:
        made.append(Pushing(setup))
        return made[0]

    result = simulate(replace(SHORT, view_age_seconds=0.3), "pushing", maker)
    assert max(made[0].ages) == pytest.approx(0.3)
    assert len(made[0].answered) == result.jobs


def test_one_worker_with_all_jobs_is_a_spread_of_as_many_as_there_are() -> None:
    result = simulate(SHORT, "pushing", Pushing)
    assert result.spread == pytest.approx(3.0)


def test_nothing_is_seen_while_the_view_is_frozen() -> None:
    seen: list[float] = []

    class Watching(Pushing):
        def see(self, sights: Sequence[Sight], now: float) -> None:
            seen.append(now)

    simulate(replace(SHORT, frozen_seconds=(2.0, 4.0)), "watching", Watching)
    assert not [now for now in seen if 2.0 <= now < 4.0]
    assert min(seen) == 0.0
    assert max(seen) > 4.0


@pytest.mark.parametrize("name", REGIMES)
def test_every_regime_offers_its_load(name: str) -> None:
    found = regime(f"{name}-staged")
    seconds, load = (4000.0, 0.02) if found.traffic.kind in ("waves", "code_bursts") else (20.0, 0.85)
    traffic = replace(found.traffic, seconds=seconds, load=load)
    offered = sum(job.tokens for job in make_jobs(traffic, found.cluster, 0))
    assert offered == pytest.approx(found.cluster.jobs_per_second(1.0) * load * seconds, rel=0.15)


@pytest.mark.parametrize("name", SIZES)
def test_what_is_expected_of_a_job_is_what_jobs_take_on_average(name: str) -> None:
    random = Random(3)
    drawn = fmean(SIZES[name].draw(random) for _ in range(20_000))
    assert SIZES[name].mean_tokens == pytest.approx(drawn, rel=0.05)


def test_a_long_text_is_expected_to_take_longer_by_the_planner() -> None:
    told: list[Setup] = []

    def maker(setup: Setup) -> PlannerRouter:
        told.append(setup)
        return PlannerRouter(setup)

    chat = Trial(cluster=SHORT.cluster, traffic=Traffic(seconds=6.0, sizes="chat"))
    simulate(chat, "ours", maker)
    assert told[0].expected_tokens == SIZES["chat"].mean_tokens
    policy = usual_policy(SHORT.cluster, told[0].expected_tokens)
    assert policy.service_seconds > 2.0 * usual_policy(SHORT.cluster).service_seconds


def test_waves_and_bursts_lie_the_same_at_every_load() -> None:
    for times in (modulated(*WAVES), modulated(*CODE_BURSTS)):
        few, many = (list(times(Random(1), rate, 400.0)) for rate in (2.0, 20.0))
        assert many == sorted(many)
        busy = {int(at) for at in many}
        assert {int(at) for at in few} <= busy
    assert len(busy) < 0.6 * 400  # mostly, no code comes


def test_a_surge_is_one_adapter_for_half_of_the_time() -> None:
    traffic = Traffic(kind="surge", seconds=12.0, load=1.0)
    jobs = make_jobs(traffic, Cluster(workers=64), 0)
    surges = [job for job in jobs if job.kind == "surge"]
    assert len(surges) == pytest.approx(0.15 * len(jobs), rel=0.2)
    assert {job.waiting.enqueued_at % 6.0 < 3.0 for job in surges} == {True}
    first, second = ({job.adapter for job in surges if job.waiting.enqueued_at // 6 == at} for at in (0, 1))
    assert len(first) == len(second) == 1
    assert first != second


def test_saturation_lies_between_idle_and_full() -> None:
    found = saturation(SHORT, "ours", PlannerRouter, tolerance=0.1)
    worse = saturation(SHORT, "pushing", Pushing, tolerance=0.1)
    assert 0.2 < found.load <= 1.2
    assert worse.load < found.load


def test_a_longer_queue_serves_more() -> None:
    strict = saturation(SHORT, "ours", PlannerRouter, tolerance=0.1, wait_limit_seconds=0.1)
    patient = saturation(SHORT, "ours", PlannerRouter, tolerance=0.1, wait_limit_seconds=math.inf)
    assert strict.load < patient.load


def test_the_load_that_was_served_is_what_really_came() -> None:
    result = simulate(replace(SHORT, jobs=()), "ours", PlannerRouter)
    assert result.offered == 0.0
    result = simulate(SHORT, "ours", PlannerRouter)
    jobs = make_jobs(SHORT.traffic, SHORT.cluster, SHORT.seed)
    possible = SHORT.cluster.jobs_per_second(1.0) * jobs[-1].waiting.enqueued_at
    assert result.offered == pytest.approx(sum(job.tokens for job in jobs) / possible)


@pytest.mark.parametrize(
    ("traffic", "fault"),
    [
        (Traffic(kind="zip"), "there is no 'zip'"),
        (Traffic(sizes="books"), "there is no 'books'"),
        (Traffic(load=0.0), "load"),
        (Traffic(load=float("nan")), "load"),
        (Traffic(kind="flood"), "needs 46"),
    ],
)
def test_traffic_that_cannot_be_made_is_refused(traffic: Traffic, fault: str) -> None:
    with pytest.raises(BadSettingError, match=fault):
        make_jobs(traffic, Cluster(adapters=30), 0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"slots": 0}, "slots: must be at least 1"),
        ({"slots": 32}, "host: must be at least 35"),
        ({"lookahead": -1}, "lookahead"),
        ({"stall": 1.5}, "stall"),
        ({"load_seconds_disk": float("nan")}, "load_seconds_disk"),
        ({"step_milliseconds": 0.0}, "step_milliseconds"),
    ],
)
def test_a_yard_that_cannot_be_is_refused(change: Mapping[str, float], fault: str) -> None:
    with pytest.raises(BadSettingError, match=fault):
        replace(Cluster(), **change)  # type: ignore[arg-type]  # of several types


def test_a_regime_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadSettingError, match=r"A, B, C, .*-staged"):
        regime("A-fast")
