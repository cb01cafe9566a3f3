"""The bench itself, on the smallest model and with as little work as can be: its figures mean nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorayard_cli.bench.engine import run
from lorayard_cli.bench.engine_report.costs import Timed
from lorayard_cli.bench.engine_report.rows import UNEXPLAINED, judge, not_measured
from lorayard_cli.bench.engine_sides.measure import Measured, measure
from lorayard_cli.bench.engine_sides.plan import QUICK, BenchPlan
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError

LEAST = replace(
    QUICK,
    step_rounds=1,
    decode_steps=1,
    step_prompt_tokens=8,
    end_to_end_rounds=1,
    decode_requests=3,
    decode_most_new=9,
    prefill_requests=2,
    population_model="random-tiny",
    registered_adapters=20,
    registered_requests=8,
    registered_rounds=1,
    hot_requests=8,
    hot_rounds=1,
    gap_rounds=1,
    memory_requests=120,
    stranger_rows=1,
    stranger_company=2,
    bleed_requests=40,
    reload_requests=30,
)


@pytest.fixture(scope="module")
def measured() -> Measured:
    """One run for all tests."""
    return measure(BenchPlan(sizes=LEAST, model="random-tiny", device="cpu"))


@pytest.mark.timeout(180)
def test_a_run_on_a_random_model_measures_every_row_but_those_it_gives_a_reason_for(
    measured: Measured,
) -> None:
    missing = {gap.goal.key: gap.reason for gap in not_measured(measured.seen)}
    assert {"vllm_prefill_heavy", "vllm_decode_heavy"} <= missing.keys()
    assert UNEXPLAINED not in missing.values()
    assert {"mixed8_decode", "transformers_decode_heavy", "bleed"} <= {
        row.goal.key for row in judge(measured.seen)
    }
    assert measured.model == "random-tiny"


def test_both_sides_of_an_end_to_end_row_do_the_same_work(measured: Measured) -> None:
    note = measured.seen.times.notes[Timed.ENGINE_DECODE_HEAVY]
    assert "3 requests, 8 adapters of rank 8" in note


def test_what_must_be_exact_is_and_no_time_is_nothing(measured: Measured) -> None:
    figures = measured.seen.figures
    assert [figures[key].value.median for key in ("bleed", "hot_reload", "bad_adapters")] == [0, 0, 1]
    costs = [cost for kind in measured.seen.times.costs.values() for cost in kind]
    assert all(cost.wall_ms > 0 for cost in costs)


@pytest.mark.parametrize("device", ["foo", "cuda:x", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused_before_anything_runs(device: str) -> None:
    with pytest.raises(CommandError) as refused:
        run(BenchPlan(device=device), as_json=True)
    assert refused.value.failure.field == "device"
    assert refused.value.failure.exit_code is ExitCode.USAGE
