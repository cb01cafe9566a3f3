"""For each alert, numbers that fire it and numbers that must not: series as promtool writes them.

One value each 15 s; `a+bxn` is a, a+b, ... n times more.
"""

from __future__ import annotations

from typing import NamedTuple

Series = dict[str, str]
MINUTES = 15


def steady(value: float) -> str:
    """The same all the time."""
    return f"{value}x{MINUTES * 4}"


def growing(each: float) -> str:
    """A counter that grows by so much every 15 s."""
    return f"0+{each}x{MINUTES * 4}"


def times(metric: str, counts: dict[str, float], **labels: str) -> Series:
    """A histogram whose buckets (cumulated, by bound) grow by so much every 15 s."""
    told = "".join(f',{name}="{value}"' for name, value in labels.items())
    return {
        f'{metric}_bucket{{instance="w1",le="{bound}"{told}}}': growing(count)
        for bound, count in counts.items()
    }


class Case(NamedTuple):
    """What fires an alert, and what is near and does not."""

    fires: Series
    silent: Series
    rare: Series | None = None
    """As bad as what fires, of too few to tell."""


def _hits(share: float, rows: float = 100) -> Series:
    return {
        'lorayard_worker_slot_hits_total{instance="w1"}': growing(rows * share),
        'lorayard_worker_adapter_rows_total{instance="w1"}': growing(rows),
    }


def _evictions(kind: str, wrong: float, every: float) -> Series:
    return {
        f'lorayard_worker_regretted_evictions_total{{instance="w1",kind="{kind}"}}': growing(wrong),
        'lorayard_worker_evictions_total{instance="w1"}': growing(every),
    }


def _loads(disk: float, rows: float = 100) -> Series:
    return {
        f'{_LOAD}_count{{instance="w1",tier="disk"}}': growing(disk),
        f'{_LOAD}_count{{instance="w1",tier="host"}}': growing(50),
        'lorayard_worker_first_token_seconds_count{instance="w1"}': growing(rows),
    }


def _jobs(failed: float) -> Series:
    return {
        'lorayard_worker_requests_total{instance="w1",adapter="a",version="1",outcome="failed"}': growing(
            failed
        ),
        'lorayard_worker_requests_total{instance="w1",adapter="a",version="1",outcome="succeeded"}': growing(
            100
        ),
        'lorayard_worker_requests_total{instance="w1",adapter="b",version="1",outcome="succeeded"}': growing(
            9000
        ),
    }


def _gauge(series: str, fires: float, silent: float) -> Case:
    return Case({series: steady(fires)}, {series: steady(silent)})


def _seats(held: int) -> Series:
    return {
        'lorayard_yard_partitions{instance="x",state="held"}': steady(held),
        'lorayard_yard_partitions{instance="x",state="all"}': steady(2),
    }


def _stream(share: float, name: str = "YARD_JOBS") -> Series:
    return {
        f'lorayard_yard_stream_bytes{{stream="{name}"}}': steady(share * 1000),
        f'lorayard_yard_stream_limit_bytes{{stream="{name}"}}': steady(1000),
    }


def _gap(tokens: float) -> Series:
    return {
        'lorayard_dispatcher_fairness_gap_tokens{instance="d"}': steady(tokens),
        'lorayard_dispatcher_fairness_bound_tokens{instance="d"}': steady(4200),
    }


_DISK = {"tier": "disk"}
_HOST = {"tier": "host"}
_LOAD = "lorayard_worker_load_seconds"
_PLAN = "lorayard_dispatcher_plan_seconds"

CASES = {
    "LorayardBusDown": _gauge('lorayard_yard_up{instance="x"}', 0, 1),
    "LorayardExporterGone": Case(
        {'lorayard_dispatcher_active{instance="d"}': steady(1)},
        {'lorayard_yard_up{instance="x"}': steady(0)},
    ),
    "LorayardProcessHangs": _gauge('lorayard_process_answers{instance="w1"}', 0, 1),
    "LorayardPartitionWithoutDispatcher": Case(_seats(1), _seats(2)),
    "LorayardNoWorkers": _gauge('lorayard_yard_workers{instance="x"}', 0, 1),
    "LorayardQueueStands": Case(
        {'lorayard_yard_queue_oldest_seconds{adapter="a",lane="normal"}': steady(301)},
        {
            'lorayard_yard_queue_oldest_seconds{adapter="a",lane="normal"}': steady(299),
            'lorayard_yard_queue_oldest_seconds{adapter="a",lane="bulk"}': steady(86_400),
        },
    ),
    "LorayardStreamNearlyFull": Case(_stream(0.81), {**_stream(0.79), **_stream(1.0, "YARD_AUDIT")}),
    "LorayardBusFlaps": Case(
        {'lorayard_bus_reconnects_total{instance="w1"}': growing(1)},
        {'lorayard_bus_reconnects_total{instance="w1"}': steady(7)},
    ),
    "LorayardEmergency": _gauge('lorayard_worker_emergency{instance="w1"}', 1, 0),
    "LorayardHitRateLow": Case(_hits(0.79), _hits(0.81), _hits(0.5, rows=1)),
    "LorayardHitRateCritical": Case(_hits(0.69), _hits(0.71), _hits(0.5, rows=1)),
    "LorayardLoadSlow": Case(
        times(_LOAD, {"1.0": 90, "2.5": 100, "+Inf": 100}, **_DISK),
        times(_LOAD, {"1.0": 96, "2.5": 100, "+Inf": 100}, **_DISK),
    ),
    "LorayardSwapSlow": Case(
        times(_LOAD, {"0.1": 90, "0.25": 100, "+Inf": 100}, **_HOST),
        {
            **times(_LOAD, {"0.1": 96, "0.25": 100, "+Inf": 100}, **_HOST),
            **times(_LOAD, {"0.1": 0, "0.25": 100, "+Inf": 100}, **_DISK),
        },
    ),
    "LorayardSwapsMany": Case(
        {'lorayard_worker_swaps_total{instance="w1"}': growing(10.5 * 15)},
        {f'lorayard_worker_swaps_total{{instance="w{number}"}}': growing(9.5 * 15) for number in (1, 2)},
    ),
    "LorayardEvictsRecentlyUsed": Case(
        _evictions("in_use_lately", 3, 10), _evictions("in_use_lately", 2, 10)
    ),
    "LorayardEvictionRegretted": Case(
        _evictions("wanted_again", 11, 100), _evictions("wanted_again", 9, 100)
    ),
    "LorayardBlockingLoads": Case(_loads(1.1), _loads(0.9), _loads(1, rows=1)),
    "LorayardAdapterErrors": Case(_jobs(2), _jobs(0.9)),
    "LorayardJobsOverdue": Case(
        {'lorayard_dispatcher_overdue_jobs{lane="normal"}': steady(1)},
        {
            'lorayard_dispatcher_overdue_jobs{lane="normal"}': steady(0),
            'lorayard_dispatcher_overdue_jobs{lane="bulk"}': steady(500),
        },
    ),
    "LorayardViewStale": _gauge('lorayard_dispatcher_view_age_seconds{instance="d"}', 2.1, 1.9),
    "LorayardPlansSlow": Case(
        times(_PLAN, {"0.02": 98, "0.05": 100, "+Inf": 100}),
        times(_PLAN, {"0.02": 99.5, "0.05": 100, "+Inf": 100}),
    ),
    "LorayardUnfair": Case(_gap(4300), _gap(4100)),
}
