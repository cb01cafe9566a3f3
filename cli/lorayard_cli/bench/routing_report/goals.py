"""The table: what each figure must reach."""

from __future__ import annotations

from typing import Final

from lorayard_cli.bench.engine_report.goals import Goal, Sense


def _least(key: str, title: str, must: float | None) -> Goal:
    return Goal(key=key, title=title, must=must)


def _most(key: str, title: str, must: float | None) -> Goal:
    return Goal(key=key, title=title, sense=Sense.AT_MOST, must=must)


LEAST_OF_PULL_AFF: Final = 0.98
"""What bounds, fairness and priorities may cost."""

SIMULATED_GOALS: Final = (
    _least("blocking_round_robin", "B batch, blocking loads: jobs/s ÷ round robin", 1.95),
    _least("blocking_least_request", "B batch, blocking loads: jobs/s ÷ least request", 1.85),
    _least("staged_round_robin", "B batch, staging for all: jobs/s ÷ round robin", 1.45),
    _least("staged_least_request", "B batch, staging for all: jobs/s ÷ least request", 1.40),
    _least("pull_aff_b_blocking", "B batch, blocking loads: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _least("pull_aff_b_staged", "B batch, staging for all: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _least("pull_aff_a_blocking", "A at 1.3, blocking loads: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _least("pull_aff_a_staged", "A at 1.3, staging for all: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _least("pull_aff_c_blocking", "C batch, blocking loads: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _least("pull_aff_c_staged", "C batch, staging for all: jobs/s ÷ pull_aff", LEAST_OF_PULL_AFF),
    _most("loads", "A at 0.85: adapter loads per 1,000 jobs", 85),
    _most("blocking_loads", "A at 0.85: blocking disk loads after warm-up", 0),
    _most("blocking_loads_unstaged", "the same where workers can't stage", None),
    _most("wait_p95", "A at 0.85: wait p95 ÷ best other policy", 0.5),
    _most("wait_p99", "A at 0.85: wait p99 ÷ best other policy", 0.5),
    _most("cold_blocking", "cold adapters at 1.1, blocking loads: worst wait ÷ bound", 1.0),
    _most("cold_staged", "cold adapters at 1.1, staging: worst wait ÷ bound", 1.0),
    _most("flood_wait", "beside a flood at 1.3: other tenants' wait p95, s", 2.0),
    _least("flood_throughput", "beside a flood at 1.3: jobs/s ÷ best policy", 0.98),
    _most("shift", "popularity shifts every 20 s: wait p95 ÷ no shift", 1.1),
    _most("hot", "half the traffic on one adapter: its wait p95, s", 0.15),
    _most("four_dispatchers", "4 dispatchers, views 500 ms old: wait p95 ÷ one, 100 ms", 1.3),
    _most("frozen", "views frozen for 2 s: wait p95 ÷ bounded-load hashing", 1.0),
    _most("old_views", "all views 2 s old: wait p95 ÷ bounded-load hashing", None),
    _least("served_round_robin", "highest load served ÷ round robin", 2.0),
    _least("served_affinity", "highest load served ÷ plain affinity", 1.3),
    _least("served_bounded_affinity", "highest load served ÷ affinity with a bound", 1.15),
)
"""Figures of the modelled yard."""

PACE_GOALS: Final = (
    _most("plan_1k", "plan, p99: 1,000 jobs, 8 workers, 64 adapters, ms", 5.0),
    _most("plan_10k", "plan, p99: 10,000 jobs, 8 workers, 1,000 adapters, ms", 20.0),
    _least("decisions", "decisions/s: 1,000 workers, 10,000 adapters, 100,000 waiting", 20_000),
)
"""Figures of the planner itself, on this machine."""

GOALS: Final = (*SIMULATED_GOALS, *PACE_GOALS)
