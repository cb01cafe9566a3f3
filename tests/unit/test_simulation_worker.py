"""A modelled worker keeps time and slots as a real one would."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.worker import ModelWorker
from lorayard_dispatcher.planning.values import WaitingJob

SMALL = Cluster(workers=1, rows=2, slots=1, host=4, adapters=4, load_seconds_host=0.1, load_seconds_disk=0.9)

DECODED = 99 * 0.0265 + 0.028
"""Seconds for 100 tokens, one of them beside another row with another adapter."""


def job(key: str, adapter: str, tokens: float = 10.0) -> SimulatedJob:
    waiting = WaitingJob(key=key, group=adapter, tenant="t", priority=1, enqueued_at=0.0)
    return SimulatedJob(waiting=waiting, tokens=tokens)


def run_until(worker: ModelWorker, limit: float = math.inf) -> list[SimulatedJob]:
    ended: list[SimulatedJob] = []
    while worker.next_at() < limit:
        ended += worker.advance(worker.next_at())
        worker.check()
    return ended


def give(worker: ModelWorker, now: float, *jobs: SimulatedJob) -> None:
    for one in jobs:
        worker.give(one, now)
    worker.advance(now)
    worker.check()


def test_a_job_takes_its_loads_and_its_steps() -> None:
    worker = ModelWorker("w", SMALL)
    give(worker, 0.0, job("a", "x"))
    (ended,) = run_until(worker)
    # One load of 0.9 + 0.1 s; then 10 steps of 25 + 0.5 + 1 ms.
    assert ended.started_at == pytest.approx(1.0)
    assert ended.ended_at == pytest.approx(1.0 + 10 * 0.0265)
    assert ended.missed
    assert (worker.loads.from_disk, worker.loads.from_host) == (1, 0)


def test_two_rows_slow_each_other_down_and_share_one_adapter() -> None:
    worker = ModelWorker("w", SMALL)
    give(worker, 0.0, job("a", "x", 10), job("b", "x", 20))
    first, second = run_until(worker)
    both = 1.0 + 10 * 0.027  # 25 + 2 * 0.5 + 1 ms
    assert first.ended_at == pytest.approx(both)
    assert second.ended_at == pytest.approx(both + 10 * 0.0265)


def test_a_blocking_load_stops_the_row_that_decodes() -> None:
    worker = ModelWorker("w", Cluster(rows=2, slots=2, load_seconds_host=0.1, load_seconds_disk=0.9))
    first = job("a", "x", 100)
    give(worker, 0.0, first)
    run_until(worker, limit=1.5)
    give(worker, 1.5, job("b", "y", 1))
    run_until(worker)
    assert worker.loads.blocking_at == [1.5]
    assert worker.loads.stalled_seconds == pytest.approx(1.0)
    assert first.ended_at == pytest.approx(1.0 + DECODED + 1.0)


def test_staging_stops_the_row_for_the_copy_only() -> None:
    cluster = Cluster(rows=2, slots=2, load_seconds_host=0.1, load_seconds_disk=0.9, staging=True)
    worker = ModelWorker("w", cluster)
    first = job("a", "x", 100)
    give(worker, 0.0, first)
    run_until(worker, limit=1.5)
    second = job("b", "y", 1)
    give(worker, 1.5, second)
    run_until(worker)
    assert second.started_at == pytest.approx(2.5)  # no sooner than by a blocking load
    assert worker.loads.blocking_at == []
    assert worker.loads.stalled_seconds == pytest.approx(0.1)
    assert first.ended_at == pytest.approx(1.0 + DECODED + 0.1)


def test_without_stall_a_load_costs_the_rows_nothing() -> None:
    worker = ModelWorker("w", Cluster(rows=2, slots=2, stall=0.0))
    first = job("a", "x", 100)
    give(worker, 0.0, first)
    run_until(worker, limit=1.0)
    give(worker, 1.0, job("b", "y", 1))
    run_until(worker)
    assert worker.loads.stalled_seconds == 0.0
    assert first.ended_at == pytest.approx(0.3 + DECODED)


def test_an_adapter_in_use_keeps_its_slot_and_the_next_one_waits() -> None:
    worker = ModelWorker("w", SMALL)
    give(worker, 0.0, job("a", "x"))
    give(worker, 0.5, job("b", "y"))
    first, second = run_until(worker)
    assert first.ended_at is not None
    assert second.started_at == pytest.approx(first.ended_at + 1.0)
    assert worker.slots.evictions == 1


def test_a_later_job_of_a_resident_adapter_passes_one_that_waits_for_a_slot() -> None:
    worker = ModelWorker("w", SMALL)
    give(worker, 0.0, job("a", "x", 100))
    run_until(worker, limit=1.2)
    late = job("c", "x", 1)
    give(worker, 1.2, job("b", "y"), late)
    assert late.started_at == 1.2


def test_a_prefetched_adapter_needs_only_the_copy() -> None:
    worker = ModelWorker("w", SMALL)
    worker.prefetch("x")
    worker.advance(0.0)
    run_until(worker)
    give(worker, 2.0, job("a", "x"))
    (ended,) = run_until(worker)
    assert ended.started_at == pytest.approx(2.1)
    assert (worker.loads.fetched, worker.loads.from_host, worker.loads.from_disk) == (1, 1, 0)


def test_a_base_model_job_needs_no_slot() -> None:
    worker = ModelWorker("w", SMALL)
    plain = job("a", "")
    give(worker, 0.0, plain)
    assert plain.started_at == 0.0
    run_until(worker)
    assert plain.ended_at == pytest.approx(10 * 0.0255)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0, 0.3), st.integers(0, 5), st.integers(1, 40), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
)
def test_every_job_ends_and_no_slot_is_given_twice(
    gifts: list[tuple[float, int, int, bool]], staging: bool
) -> None:
    cluster = Cluster(rows=3, slots=2, host=6, adapters=6, staging=staging)
    worker = ModelWorker("w", cluster)
    now, ended = 0.0, list[SimulatedJob]()
    for number, (gap, adapter, tokens, is_prefetch) in enumerate(gifts):
        now += gap
        ended += run_until(worker, limit=now)
        if is_prefetch:
            worker.prefetch(f"a{adapter}")
        give(worker, now, job(str(number), f"a{adapter}", tokens))  # checks the books
    ended += run_until(worker)
    assert sorted(one.key for one in ended) == sorted(str(number) for number in range(len(gifts)))
    assert worker.in_flight == 0
