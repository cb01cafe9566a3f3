"""The parts of `lorayard bench calibration`: a step's law from seen rows, the kept trace, the verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorayard_cli.bench.calibration import kept_trace
from lorayard_cli.bench.calibration_sides.law import StepLaw, at_the_pace_of, crowds_of, fit_steps
from lorayard_cli.bench.calibration_sides.live import GUESS, HOST_BYTES
from lorayard_cli.bench.calibration_sides.model import Compared, compare, fitted
from lorayard_cli.bench.calibration_sides.scenes import SCENES, mixed_trace, trace_of
from lorayard_cli.bench.calibration_sides.seen import Seen, SeenJob, SeenWorker
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.ours import PlannerRouter
from lorayard_cli.simulation.router import Setup
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import Traffic
from lorayard_cli.simulation.yard import Yard

LAW = StepLaw(step=5.0, row=0.4, adapter=0.9, jobs=0, error=0.0)
TIMED = replace(GUESS, step_milliseconds=5.0, row_milliseconds=0.4, adapter_milliseconds=0.9)
WORKER = SeenWorker(
    slot_loads=30, disk_loads=9, load_seconds_host=0.002, load_seconds_disk=0.0, host_bytes_per_adapter=1e5
)


def job(worker: str, adapter: str, start: float, end: float, tokens: int = 10) -> SeenJob:
    return SeenJob(
        adapter=adapter,
        submitted_at=start,
        started_at=start,
        ended_at=end,
        worker=worker,
        tokens=tokens,
        prompt_tokens=4,
    )


def modelled(kind: str, load: float = 0.7, cluster: Cluster = TIMED) -> Seen:
    """What a yard that keeps exactly to the model would be seen to do."""
    traffic = Traffic(kind=kind, load=load, seconds=10.0, sizes="short")
    yard = Yard(Trial(cluster=cluster, traffic=traffic), PlannerRouter(Setup(cluster=cluster)))
    yard.run(1000.0)
    loads = sum(worker.loads.from_disk + worker.loads.from_host for worker in yard.workers)
    jobs = [
        SeenJob(
            adapter=one.adapter,
            submitted_at=one.waiting.enqueued_at,
            started_at=one.started_at or 0.0,
            ended_at=one.ended_at or 0.0,
            worker=one.worker or "",
            tokens=max(2, round(one.tokens)),
            prompt_tokens=0,
        )
        for one in yard.jobs
    ]
    return Seen(jobs=jobs, workers=[replace(WORKER, slot_loads=loads)])


def test_a_job_among_others_is_seen_with_the_mean_of_its_company() -> None:
    alone, half = crowds_of([job("w1", "a", 0.0, 1.0), job("w1", "b", 0.5, 1.0), job("w2", "c", 0.0, 9.0)])[
        :2
    ]
    assert (alone.milliseconds, alone.rows, alone.adapters) == (100.0, 1.5, 1.5)
    assert (half.milliseconds, half.rows, half.adapters) == (50.0, 2.0, 2.0)


def test_rows_of_one_adapter_are_one_distinct_adapter() -> None:
    for crowd in crowds_of([job("w1", "a", 0.0, 1.0), job("w1", "a", 0.0, 1.0)]):
        assert (crowd.rows, crowd.adapters) == (2.0, 1.0)


def test_a_yard_that_keeps_to_a_law_is_found_to_keep_to_it() -> None:
    busy, calm = modelled("batch"), modelled("zipf", load=0.2)
    elsewhere = [replace(one, worker=f"{one.worker} then") for one in calm.jobs]
    law = fit_steps([*busy.jobs, *elsewhere])
    assert law.error < 0.05  # whole tokens, and loads in between
    for rows, adapters in ((1, 1), (8, 2), (8, 4)):
        fit = law.step + law.row * rows + law.adapter * adapters
        assert fit == pytest.approx(TIMED.step_seconds(rows, adapters) * 1000, rel=0.05)


def test_a_constant_that_would_be_negative_is_nothing() -> None:
    faster_together = [
        job("w1", "a", 0.0, 1.0),
        *(job("w2", "a", 10.0, 10.8) for _ in range(2)),
        *(job("w3", "a", 10.0, 10.5) for _ in range(4)),
    ]
    law = fit_steps(faster_together)
    assert min(law.step, law.row, law.adapter) == 0.0
    assert law.step > 0.0


def test_too_little_was_seen_to_fit_a_law() -> None:
    with pytest.raises(ValueError, match="three jobs"):
        fit_steps([job("w1", "a", 0.0, 1.0, tokens=1)] * 5)


def test_a_slower_hour_of_the_machine_keeps_the_laws_shape() -> None:
    seen = modelled("batch")
    slow = at_the_pace_of(replace(LAW, step=2.5, row=0.2, adapter=0.45), seen.jobs)
    assert slow.step == pytest.approx(5.0, rel=0.05)
    assert slow.step / slow.row == pytest.approx(12.5)
    assert at_the_pace_of(LAW, []) == LAW


def test_the_model_has_the_times_and_the_room_that_were_told() -> None:
    cluster = fitted(GUESS, LAW, Seen(jobs=[], workers=[WORKER, WORKER]), HOST_BYTES)
    assert cluster == replace(
        TIMED, load_seconds_host=0.002, load_seconds_disk=0.0, host=HOST_BYTES // 100_000
    )


def test_a_trace_is_kept_as_it_was_played_and_agrees_with_itself(tmp_path: Path) -> None:
    seen = modelled("zipf")
    trace = kept_trace(tmp_path, "calm", seen)
    assert [one.completion_tokens for one in trace.jobs] == [one.tokens for one in seen.jobs]
    assert trace.jobs[-1].at == pytest.approx(seen.jobs[-1].submitted_at - seen.jobs[0].submitted_at)
    found = compare("calm", seen, trace, TIMED, LAW)
    assert found.jobs_ratio == pytest.approx(1.0, abs=0.05)
    assert found.loads_ratio == pytest.approx(1.0, abs=0.3)  # 70 loads: who draws which lot matters


@pytest.mark.parametrize(
    ("jobs", "loads", "holds"),
    [
        (10.0, 100.0, True),
        (10.9, 114.0, True),
        (11.1, 100.0, False),
        (8.9, 100.0, False),
        (10.0, 84.0, False),
    ],
)
def test_ten_per_cent_of_the_jobs_and_fifteen_of_the_loads_are_allowed(
    jobs: float, loads: float, holds: bool
) -> None:
    found = Compared(
        name="calm",
        jobs=10,
        live_jobs_per_second=10.0,
        model_jobs_per_second=jobs,
        live_loads_per_1000=100.0,
        model_loads_per_1000=loads,
        live_wait_p95=1.0,
        model_wait_p95=2.0,
        law=LAW,
        cluster=TIMED,
    )
    assert found.holds is holds


def test_no_load_in_either_is_agreement_and_loads_out_of_nothing_are_none() -> None:
    seen = Seen(jobs=modelled("zipf").jobs, workers=[])
    assert seen.loads_per_1000 == 0.0
    found = Compared(
        name="calm",
        jobs=1,
        live_jobs_per_second=1.0,
        model_jobs_per_second=1.0,
        live_loads_per_1000=0.0,
        model_loads_per_1000=0.0,
        live_wait_p95=0.0,
        model_wait_p95=0.0,
        law=LAW,
        cluster=TIMED,
    )
    assert found.holds
    assert not replace(found, model_loads_per_1000=1.0).holds


def test_the_traces_differ_and_are_the_same_each_time() -> None:
    traces = {scene.name: trace_of(scene, TIMED, 0) for scene in SCENES}
    assert traces == {scene.name: trace_of(scene, TIMED, 0) for scene in SCENES}
    assert len(traces) == 3
    assert max(due.at for due in traces["backlog"]) < 1.0 < 15.0 < traces["calm"][-1].at
    mixed = mixed_trace(TIMED, 0)
    assert [due.at for due in mixed] == sorted(due.at for due in mixed)
    assert {due.adapter for due in mixed} <= set(range(TIMED.adapters))
