"""`lorayard bench routing` reads its figures out of modelled runs, and fails when a must is missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import lorayard_cli
from lorayard_cli.bench.engine_report.rows import exit_code
from lorayard_cli.bench.routing import RoutingPlan, judge, plan_of
from lorayard_cli.bench.routing_report.document import make_document
from lorayard_cli.bench.routing_report.goals import PACE_GOALS, SIMULATED_GOALS
from lorayard_cli.bench.routing_report.measure import Measured, all_runs
from lorayard_cli.bench.routing_report.pace import Size, decision_rate, plan_time, steps
from lorayard_cli.bench.routing_report.scenes import CAPACITY_YARDS, SCENES
from lorayard_cli.bench.routing_report.simulated import figures
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.simulation.result import SimResult, Waits

OURS = "ours"


def result(router: str, seed: int, **changes: Any) -> SimResult:
    """A run in which everybody does the same."""
    waits = Waits(jobs=10, p50=0.1, p95=0.2, p99=0.4, longest=0.8)
    usual: dict[str, Any] = {
        **dict.fromkeys(("jobs", "blocking_after_warm_up", "unfinished"), 0),
        **dict.fromkeys(("makespan_seconds", "tokens_per_second", "disk_per_1000", "hit_rate"), 0.0),
        **dict.fromkeys(("blocking_per_1000", "stalled_share", "busy_share", "waiting_grew"), 0.0),
        **dict.fromkeys(("spread", "worst_spread"), 1.0),
        "waits": waits,
        "waits_by_tenant": {},
        "waits_by_kind": dict.fromkeys(("hot", "cold", "good"), waits),
        "jobs_per_second": 20.0,
        "loads_per_1000": 70.0,
        "overrun": False,
    }
    return SimResult(router=router, seed=seed, **{**usual, **changes})


def measured(changes: Mapping[tuple[str, str], list[dict[str, Any]]], loads: float = 0.5) -> Measured:
    """Two seeds of every scene; `changes` by scene and router, one for each seed."""
    same: list[dict[str, Any]] = [{}, {}]
    runs = {
        (scene.key, router): tuple(
            result(router, seed, **change)
            for seed, change in enumerate(changes.get((scene.key, router), same))
        )
        for scene in SCENES
        for router in (OURS, *scene.others)
    }
    found = {(yard, router): (0.5,) for yard in CAPACITY_YARDS for router in ("affinity", "round_robin")}
    found |= {(yard, "bounded_affinity"): (0.5,) for yard in CAPACITY_YARDS}
    return Measured(
        planner=OURS, runs=runs, loads=found | {(yard, OURS): (loads,) for yard in CAPACITY_YARDS}
    )


def test_every_goal_of_the_modelled_yard_has_a_figure() -> None:
    assert set(figures(measured({}))) == {goal.key for goal in SIMULATED_GOALS}


def test_ratios_are_taken_seed_by_seed() -> None:
    found = figures(
        measured(
            {
                ("batch_b_staged", OURS): [{"jobs_per_second": 30.0}, {"jobs_per_second": 12.0}],
                ("batch_b_staged", "round_robin"): [{"jobs_per_second": 20.0}, {"jobs_per_second": 6.0}],
            }
        )
    )
    value = found["staged_round_robin"].value
    assert (value.low, value.median, value.high) == (1.5, 1.75, 2.0)
    assert "round_robin" in found["staged_round_robin"].note


def test_the_best_other_policy_is_whoever_waits_least() -> None:
    quick = {"waits": Waits(jobs=10, p95=0.1, p99=0.5, longest=1.0)}
    found = figures(measured({("calm", "dynamo"): [quick, quick]}))
    assert found["wait_p95"].value.median == pytest.approx(2.0)
    assert "dynamo" in found["wait_p95"].note
    assert found["wait_p99"].value.median == pytest.approx(1.0)


def test_where_a_bound_always_holds_one_bad_seed_is_a_miss() -> None:
    late = {"waits_by_kind": {"cold": Waits(jobs=1, longest=8.1)}}
    found = figures(measured({("cold_staged", OURS): [{}, late]}))
    assert found["cold_staged"].value.median > 1.0
    assert found["cold_blocking"].value.median < 1.0
    one = figures(measured({("calm", OURS): [{}, {"blocking_after_warm_up": 1}]}))
    assert one["blocking_loads"].value.median == 1


def test_the_yard_in_which_least_is_gained_counts_for_the_load_served() -> None:
    seen = measured({}, loads=1.0)
    worse = Measured(planner=OURS, runs=seen.runs, loads={**seen.loads, (CAPACITY_YARDS[1], OURS): (0.6,)})
    assert figures(seen)["served_affinity"].value.median == 2.0
    assert figures(worse)["served_affinity"].value.median == 1.2


def test_a_missed_must_fails_the_run_and_one_not_measured_leaves_it_open() -> None:
    rows, gaps = judge(figures(measured({})))
    assert [gap.goal for gap in gaps] == list(PACE_GOALS)
    assert exit_code(rows) == ExitCode.FAILED  # the same as everybody is not enough
    reached = [row for row in rows if row.holds is not False]
    assert {row.goal.key for row in reached} >= {"loads", "flood_wait", "pull_aff_a_staged"}
    assert exit_code(reached) == ExitCode.OK
    seen = measured({})
    assert make_document(seen, rows, gaps, {})["holds"] is False
    assert make_document(seen, reached, gaps, {})["holds"] is None
    assert make_document(seen, reached, [], {})["holds"] is True


def test_every_scene_is_run_with_every_seed_and_the_long_searches_first() -> None:
    tasks = list(all_runs(OURS, 3, 2))
    assert len(tasks) == len(set(tasks))
    searches = [task for task in tasks if task.is_search]
    assert tasks[: len(searches)] == searches
    assert len(searches) == 2 * len(CAPACITY_YARDS) * 4
    for scene in SCENES:
        assert {task.seed for task in tasks if task.key == scene.key} == {0, 1, 2}


def test_a_quick_run_has_fewer_seeds() -> None:
    assert plan_of(OURS, quick=True).seeds < plan_of(OURS, quick=False).seeds == 20
    assert plan_of(OURS, quick=True) == RoutingPlan(planner=OURS, seeds=3, searched_seeds=1, pace_rounds=2)


def test_a_planner_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert lorayard_cli.run(["bench", "routing", "--planner", "magic"]) == ExitCode.USAGE
    assert "no router is called 'magic'" in capsys.readouterr().err


def test_the_pace_is_of_a_yard_in_which_jobs_that_end_are_replaced() -> None:
    small = Size(workers=2, adapters=6, waiting=50, ending=3, plans=40)
    made = [decisions for decisions, _ in steps(small, seed=1)]
    assert len(made) == 40
    assert 100 <= sum(made) <= 130  # 120 have ended
    assert made == [decisions for decisions, _ in steps(small, seed=1)]
    assert plan_time(small, rounds=2).value.rounds == 2
    assert decision_rate(small, rounds=2).value.low > 0
