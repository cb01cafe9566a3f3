"""What `bench engine` makes of its figures: nothing is timed here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lorayard_cli.bench.engine_report.costs import Clock, Cost, Timed, Times, cost_of, process_cost_of
from lorayard_cli.bench.engine_report.document import make_document, print_document
from lorayard_cli.bench.engine_report.figure import Bleed, Figure, SlotMemory
from lorayard_cli.bench.engine_report.goals import FIGURE_GOALS, TIMED_GOALS, Goal, Sense
from lorayard_cli.bench.engine_report.left_out import HOW_TO_POLYLORA, Means, left_out
from lorayard_cli.bench.engine_report.rows import (
    UNEXPLAINED,
    Row,
    Seen,
    exit_code,
    judge,
    not_measured,
    open_musts,
    verdict,
)
from lorayard_cli.bench.engine_sides.plan import BenchPlan
from lorayard_cli.bench.figures import spread
from lorayard_cli.exit_codes import ExitCode

ABOUT = {"model": "fake", "rounds": 3, "quick": True, "amx_bf16": False}
FINE: Mapping[Timed, float] = {
    Timed.BASE_PREFILL: 1000,
    Timed.BASE_DECODE: 100,
    Timed.MIXED8_PREFILL: 1050,
    Timed.MIXED8_DECODE: 100,
    Timed.MIXED16_PREFILL: 1100,
    Timed.MIXED16_DECODE: 110,
    Timed.MIXED8_FULL_PREFILL: 1080,
    Timed.MIXED8_FULL_DECODE: 112,
    Timed.MIXED16_FULL_PREFILL: 1130,
    Timed.MIXED16_FULL_DECODE: 122,
    Timed.UNUSED_PREFILL: 1000,
    Timed.UNUSED_DECODE: 100,
    Timed.PEFT8_DECODE: 250,
    Timed.PEFT16_DECODE: 330,
    Timed.SEQUENTIAL8_DECODE: 700,
    Timed.SEQUENTIAL16_DECODE: 1320,
    Timed.SWAP: 2,
    Timed.PEFT_LOAD: 400,
    Timed.POLYLORA8_DECODE: 330,
    Timed.POLYLORA16_DECODE: 320,
    Timed.PEFT8_PREFILL: 1800,
    Timed.PEFT1_PREFILL: 100,
    Timed.PEFT1_STOCK_PREFILL: 2500,
    Timed.ENGINE_DECODE_HEAVY: 9000,
    Timed.ENGINE_PREFILL_HEAVY: 15000,
    Timed.TRANSFORMERS_DECODE_HEAVY: 11000,
    Timed.TRANSFORMERS_PREFILL_HEAVY: 18000,
    Timed.REGISTERED8: 3000,
    Timed.REGISTERED1000: 3100,
    Timed.DETERMINISTIC_DECODE_HEAVY: 10000,
}
WITH_VLLM = {Timed.VLLM_DECODE_HEAVY: 16000.0, Timed.VLLM_PREFILL_HEAVY: 40000.0}
NO_VLLM: dict[str, str] = dict.fromkeys(("vllm_prefill_heavy", "vllm_decode_heavy"), "no vLLM here")


def seen(
    changes: Mapping[Timed, float] | None = None,
    *,
    differ: int = 0,
    compared: int = 570,
    memory: tuple[float, ...] = (1.1,),
) -> Seen:
    """Figures that hold, but for the changes."""
    times = Times()
    for kind, milliseconds in {**FINE, **(changes or {})}.items():
        for factor in (0.9, 1.0, 1.3):  # a slow moment is slow for all sides
            times.add(kind, Cost(cpu_ms=milliseconds * factor, wall_ms=milliseconds * factor * 2))
    bleed = Bleed(
        rows=compared,
        differ=differ,
        cancelled=30,
        adapters=8,
        slots=3,
        evictions=200,
        slot_loads=205,
        disk_loads=99,
        preemptions=5,
        sums=70,
        sampled=80,
    )
    slots = SlotMemory(slots=8, max_rank=64, adapters=48, reserved_bytes=100, evictions=7, ratios=memory)
    figures = {goal.key: Figure(value=spread([goal.must or 0])) for goal in FIGURE_GOALS}
    figures |= {"slot_bytes": slots.figure, "bleed": bleed.figure}
    return Seen(times=times, figures=figures, reasons=NO_VLLM)


def row(rows: tuple[Row, ...], key: str) -> Row:
    return next(row for row in rows if row.goal.key == key)


def test_every_kind_of_work_is_used_by_a_row() -> None:
    assert {kind for one in TIMED_GOALS for kind in (one.above, one.below)} == set(Timed)


def test_every_goal_is_either_a_row_or_a_gap_with_a_reason() -> None:
    goals = [one.goal for one in TIMED_GOALS] + list(FIGURE_GOALS)
    rows, gaps = judge(seen()), not_measured(seen())
    keys = [row.goal.key for row in rows] + [gap.goal.key for gap in gaps]
    assert sorted(keys) == sorted(goal.key for goal in goals)
    assert len(keys) == len(set(keys))
    assert {gap.reason for gap in gaps} == {"no vLLM here"}


def test_a_goal_that_nobody_measured_or_excused_is_told_as_a_mistake_and_no_figure_is_lost() -> None:
    silent = replace(seen(), reasons={})
    document = make_document(silent, judge(silent), ABOUT)
    assert {gap["reason"] for gap in document["not_measured"]} == {UNEXPLAINED}
    assert {gap["key"] for gap in document["not_measured"]} == set(NO_VLLM)
    assert len(document["rows"]) + len(NO_VLLM) == len(TIMED_GOALS) + len(FIGURE_GOALS)


def test_figures_on_the_right_side_of_every_must_hold() -> None:
    rows = judge(seen())
    assert [row.goal.key for row in rows if row.holds is False] == []
    assert exit_code(rows) is ExitCode.OK


def test_all_hold_only_when_every_must_was_measured_with_all_the_work_that_it_asks_for() -> None:
    whole = seen(WITH_VLLM, compared=10_000)
    assert open_musts(whole, judge(whole)) == ()
    assert verdict(whole, judge(whole)) is True
    for partly, left in (
        (seen(compared=10_000), ["vllm_prefill_heavy", "vllm_decode_heavy"]),
        (seen(WITH_VLLM, compared=9_999), ["bleed"]),
    ):
        rows = judge(partly)
        assert [goal.key for goal in open_musts(partly, rows)] == left
        assert (verdict(partly, rows), exit_code(rows)) == (None, ExitCode.OK)
        document = make_document(partly, rows, ABOUT)
        assert (document["holds"], document["open_musts"]) == (None, left)


def test_a_missed_must_outweighs_open_ones() -> None:
    found = seen({Timed.SWAP: 9})
    assert verdict(found, judge(found)) is False


def test_too_few_rows_hold_so_far_but_one_that_differs_is_final() -> None:
    few, bad = row(judge(seen()), "bleed"), row(judge(seen(differ=1)), "bleed")
    assert (few.holds, few.holds_so_far) == (None, True)
    assert (bad.holds, bad.holds_so_far) == (False, False)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (seen(WITH_VLLM, compared=10_000), "every must holds"),
        (seen(WITH_VLLM), "no full verdict, 1 open: rows that differ"),
        (seen({**WITH_VLLM, Timed.SWAP: 9}), "musts missed: host → slot"),
    ],
)
def test_the_table_ends_with_what_the_run_says_as_a_whole(
    found: Seen, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = judge(found)
    print_document(make_document(found, rows, ABOUT), found, rows)
    assert says in capsys.readouterr().out


def test_every_row_of_our_steps_has_a_twin_with_all_logits_that_is_told_only() -> None:
    rows = judge(seen())
    for key in ("mixed8_prefill", "mixed8_decode", "peft_names16", "sequential8", "polylora16"):
        twin = row(rows, f"{key}_full")
        assert (twin.holds, twin.value.median < row(rows, key).value.median) == (None, True)


@pytest.mark.parametrize(
    ("kind", "milliseconds", "key"),
    [
        (Timed.MIXED8_PREFILL, 1120, "mixed8_prefill"),
        (Timed.MIXED8_DECODE, 126, "mixed8_decode"),
        (Timed.PEFT8_DECODE, 199, "peft_names8"),
        (Timed.PEFT16_DECODE, 274, "peft_names16"),
        (Timed.SEQUENTIAL8_DECODE, 599, "sequential8"),
        (Timed.SEQUENTIAL16_DECODE, 1099, "sequential16"),
        (Timed.UNUSED_PREFILL, 1021, "unused_prefill"),
        (Timed.UNUSED_DECODE, 103, "unused_decode"),
        (Timed.SWAP, 5.6, "swap_step"),
        (Timed.PEFT_LOAD, 29, "swap_load"),
        (Timed.TRANSFORMERS_DECODE_HEAVY, 9800, "transformers_decode_heavy"),
        (Timed.VLLM_DECODE_HEAVY, 14000, "vllm_decode_heavy"),
        (Timed.VLLM_PREFILL_HEAVY, 37000, "vllm_prefill_heavy"),
        (Timed.REGISTERED1000, 3400, "registered"),
        (Timed.DETERMINISTIC_DECODE_HEAVY, 12100, "deterministic"),
    ],
)
def test_a_missed_must_fails_the_command_and_names_its_row(
    kind: Timed, milliseconds: float, key: str
) -> None:
    rows = judge(seen({**WITH_VLLM, kind: milliseconds}))
    assert row(rows, key).holds is False
    assert exit_code(rows) is ExitCode.FAILED


def test_one_row_that_differs_is_one_too_many() -> None:
    rows = judge(seen(differ=1))
    assert row(rows, "bleed").holds is False
    assert exit_code(rows) is ExitCode.FAILED


def test_memory_is_judged_by_means_over_parts_of_the_run_not_by_its_best_moment() -> None:
    ratios = (1.0, 2.0) * 10
    found = row(judge(seen(memory=ratios)), "slot_bytes")
    assert (found.value.median, found.value.rounds) == (1.5, 5)
    assert found.holds is False
    assert "1.00 to 2.00" in found.note


def test_a_short_run_has_fewer_parts() -> None:
    assert row(judge(seen(memory=(1.0, 1.2))), "slot_bytes").value.rounds == 2


def test_fewer_rows_than_the_table_asks_for_are_said() -> None:
    assert "570 rows compared, of the 10,000" in row(judge(seen()), "bleed").note
    facts: dict[str, Any] = {**seen().figures["bleed"].facts, "rows": 10_200}
    assert "of the 10,000" not in Bleed(**facts).figure.note


def test_a_goal_without_a_must_is_told_but_not_judged() -> None:
    rows = judge(seen({Timed.MIXED16_PREFILL: 99_999}))
    found = row(rows, "mixed16_prefill")
    assert (found.holds, found.reaches_stretch) == (None, None)
    assert exit_code(rows) is ExitCode.OK


@pytest.mark.parametrize(
    ("sense", "value", "holds", "stretch"),
    [
        (Sense.AT_LEAST, 2.0, True, False),
        (Sense.AT_LEAST, 3.0, True, True),
        (Sense.AT_LEAST, 1.9, False, False),
        (Sense.AT_MOST, 2.0, True, True),
        (Sense.AT_MOST, 2.1, False, True),
        (Sense.AT_MOST, 3.1, False, False),
    ],
)
def test_a_limit_itself_is_within_it(sense: Sense, value: float, holds: bool, stretch: bool) -> None:
    goal = Goal(key="k", title="t", sense=sense, must=2.0, stretch=3.0)
    judged = Row(goal=goal, value=spread([value]))
    assert (judged.holds, judged.reaches_stretch) == (holds, stretch)


def test_ratios_pair_neighbouring_rounds() -> None:
    times = Times()
    for ours, base in ((10.0, 10.0), (40.0, 20.0), (30.0, 30.0)):
        times.add(Timed.BASE_DECODE, Cost(cpu_ms=base, wall_ms=base * 3))
        times.add(Timed.MIXED8_DECODE, Cost(cpu_ms=ours, wall_ms=ours))
    cpu = times.ratio(Timed.BASE_DECODE, Timed.MIXED8_DECODE, Clock.CPU)
    assert (cpu.median, cpu.low, cpu.high, cpu.rounds) == (1.0, 0.5, 1.0, 3)
    assert times.ratio(Timed.BASE_DECODE, Timed.MIXED8_DECODE, Clock.WALL).median == 3.0


def test_dear_work_that_is_timed_once_is_paired_with_the_first_round() -> None:
    times = Times()
    for milliseconds in (10.0, 40.0):
        times.add(Timed.MIXED8_PREFILL, Cost(cpu_ms=milliseconds, wall_ms=milliseconds))
    times.add(Timed.PEFT8_PREFILL, Cost(cpu_ms=20.0, wall_ms=20.0))
    found = times.ratio(Timed.PEFT8_PREFILL, Timed.MIXED8_PREFILL, Clock.CPU)
    assert (found.median, found.rounds) == (2.0, 1)


def test_on_a_gpu_the_wall_clock_is_judged() -> None:
    times = Times()
    times.add(Timed.BASE_DECODE, Cost(cpu_ms=1, wall_ms=100))
    times.add(Timed.MIXED8_DECODE, Cost(cpu_ms=9, wall_ms=90))
    clock = BenchPlan(device="cuda:1").clock
    assert row(judge(Seen(times=times, clock=clock)), "mixed8_decode").value.median == pytest.approx(
        1.11, abs=0.01
    )
    assert BenchPlan().clock is Clock.CPU


def test_what_was_said_of_a_kind_of_work_stands_with_its_rows() -> None:
    found = seen()
    found.times.tell(Timed.ENGINE_DECODE_HEAVY, "12 requests")
    assert row(judge(found), "transformers_decode_heavy").note == "12 requests"
    assert row(judge(found), "mixed8_decode").note == ""


def test_a_cost_is_of_one_step() -> None:
    calls: list[int] = []
    one, four = cost_of(lambda: calls.append(1)), cost_of(lambda: calls.append(1), steps=4)
    whole = process_cost_of(lambda: calls.append(1))
    assert calls == [1, 1, 1]  # the work itself takes the steps
    assert min(one.wall_ms, one.cpu_ms, four.wall_ms, four.cpu_ms, whole.wall_ms, whole.cpu_ms) >= 0


def test_a_device_has_nothing_left_to_do_when_its_clock_starts_and_stops() -> None:
    calls: list[str] = []
    cost_of(lambda: calls.append("work"), settle=lambda: calls.append("settle"))
    assert calls == ["settle", "work", "settle"]


def test_the_document_has_every_row_with_its_limits_and_what_is_missing_with_its_reason() -> None:
    rows = judge(seen({Timed.SWAP: 5.61}))
    document: dict[str, Any] = json.loads(json.dumps(make_document(seen(), rows, ABOUT)))
    assert document["holds"] is False
    assert len(document["rows"]) + len(document["not_measured"]) == len(TIMED_GOALS) + len(FIGURE_GOALS)
    swap = next(one for one in document["rows"] if one["key"] == "swap_step")
    assert swap["value"]["median"] == 0.051
    assert (swap["must"], swap["stretch"], swap["holds"]) == (0.05, 0.02, False)
    missing = document["not_measured"]
    assert {one["key"] for one in missing} == set(NO_VLLM)
    assert all(one["reason"] and "value" not in one for one in missing)
    assert document["ms"]["base_decode"]["cpu"]["median"] == 100
    assert document["judged_by"] == "cpu"
    assert document["facts"]["bleed"]["evictions"] == 200
    assert {"cores", "torch", "transformers", "peft"} <= set(document)


def test_the_table_names_every_row_and_every_gap(capsys: pytest.CaptureFixture[str]) -> None:
    rows = judge(seen({Timed.SWAP: 5.61}))
    print_document(make_document(seen(), rows, ABOUT), seen(), rows)
    printed = capsys.readouterr().out
    for title in ("host → slot ÷ one decode step of 16", "not measured:", "÷ vLLM", "NO", "no AMX"):
        assert title in printed


EVERYTHING = Means(on_cpu=True, vllm=True, polylora=True, screened_head=True, end_to_end_only=False)
NO_FIGURES = {goal.key for goal in FIGURE_GOALS}
ON_CPU_ONLY = {"slot_bytes", "bleed", "hot_reload", "bad_adapters", "oversubscribed"}


@pytest.mark.parametrize("screened", [True, False])
@pytest.mark.parametrize("polylora", [True, False])
@pytest.mark.parametrize(
    ("means", "lacking", "figures"),
    [
        (EVERYTHING, "nothing", set[str]()),
        (replace(EVERYTHING, vllm=False), "vllm", set[str]()),
        (replace(EVERYTHING, on_cpu=False), "vllm|registered", ON_CPU_ONLY),
        (replace(EVERYTHING, on_cpu=False, vllm=False), "vllm|registered", ON_CPU_ONLY),
        (replace(EVERYTHING, end_to_end_only=True), "(?!(engine|transformers|vllm)_)", NO_FIGURES),
        (replace(EVERYTHING, end_to_end_only=True, vllm=False), "(?!(engine|transformers)_)", NO_FIGURES),
        (
            replace(EVERYTHING, end_to_end_only=True, on_cpu=False),
            "(?!(engine|transformers)_)",
            NO_FIGURES,
        ),
    ],
)
def test_every_gap_of_every_way_to_run_has_a_reason(
    means: Means, lacking: str, figures: set[str], *, polylora: bool, screened: bool
) -> None:
    means = replace(means, polylora=polylora, screened_head=screened)
    absent = "|".join([lacking, *([] if polylora else ["polylora"]), *([] if screened else [".*_full_"])])
    whole = seen(WITH_VLLM)
    found = Seen(
        times=Times(
            costs={kind: one for kind, one in whole.times.costs.items() if not re.match(absent, kind)}
        ),
        figures={key: figure for key, figure in whole.figures.items() if key not in figures},
        reasons=left_out(means),
    )
    gaps = {gap.goal.key: gap.reason for gap in not_measured(found)}
    assert UNEXPLAINED not in gaps.values()
    assert left_out(means).keys() == gaps.keys()  # and nothing that was measured is called left out


def test_a_row_and_its_twin_are_left_out_for_the_same_reason() -> None:
    reasons = left_out(replace(EVERYTHING, polylora=False))
    assert reasons == dict.fromkeys(
        ("polylora8", "polylora16", "polylora8_full", "polylora16_full"), HOW_TO_POLYLORA
    )
