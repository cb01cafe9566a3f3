"""The alerts of a yard.

docs/runbook.md has a section for each; `python -m lorayard_cli.monitoring.alerts` makes
deploy/prometheus/rules.yaml of these. With an address behind it, of the repository as a browser shows it,
the command makes links of the paths in it.

A rate over nothing is no number, and fires nothing: a yard at rest is silent. Nor does a rate see the first
value of a series, so what is rare is asked of series that were there before it happened.

Where `yard` is a label (deploy/prometheus/prometheus.yaml), each yard is watched by itself.
"""

from __future__ import annotations

import sys

from lorayard_cli.monitoring.alert import Alert, rules_file
from lorayard_cli.monitoring.promql import equal, quantile, rate
from lorayard_shared.metrics import declared as m
from lorayard_shared.metrics.metric import Metric

LEAST_ROWS = 0.1
"""A second. Of fewer than 30 rows in five minutes one more or less says nothing, and a yard with little to do
finds its adapters on disk."""


def _rate(metric: Metric, window: str = "5m", **labels: str) -> str:
    return rate(metric.name, window, *equal(labels))


def _counted(histogram: Metric, **labels: str) -> str:
    return rate(f"{histogram.name}_count", "5m", *equal(labels))


def _quantile(share: float, metric: Metric, by: str, **labels: str) -> str:
    return quantile(share, metric.name, "5m", *equal(labels), by=(by,))


_HITS = f"sum by (yard) ({_rate(m.SLOT_HITS)}) / sum by (yard) ({_rate(m.ROWS_STARTED)})"
_ENOUGH_ROWS = f"sum by (yard) ({_rate(m.ROWS_STARTED)}) > {LEAST_ROWS}"
_FAILED = f"sum by (yard, adapter, version) ({_rate(m.REQUESTS, '10m', outcome='failed')})"
_ENDED = f"sum by (yard, adapter, version) ({_rate(m.REQUESTS, '10m')})"
_FIRST_TOKENS = f"sum by (yard) ({_counted(m.FIRST_TOKEN)})"
_EVICTED = f"sum by (instance) ({_rate(m.EVICTIONS, '10m')})"


def _regrets(kind: str) -> str:
    return f"sum by (instance) ({_rate(m.REGRETS, '10m', kind=kind)}) / {_EVICTED}"


ALERTS = (
    # ---- the yard
    Alert(
        name="LorayardBusDown",
        expr=f"{m.YARD_UP.name} == 0",
        lasting="30s",
        severity="critical",
        summary="the exporter gets no answer from the bus",
    ),
    Alert(
        name="LorayardExporterGone",
        expr=f"absent({m.YARD_UP.name})",
        lasting="2m",
        severity="critical",
        summary="no exporter is scraped: alerts on bus, queues, workers and dispatchers are blind",
    ),
    Alert(
        name="LorayardProcessHangs",
        expr=f"{m.PROCESS_ANSWERS.name} == 0",
        lasting="30s",
        severity="critical",
        summary="{{ $labels.instance }}: its event loop does not answer",
    ),
    Alert(
        name="LorayardPartitionWithoutDispatcher",
        expr=(f'{m.PARTITIONS.name}{{state="held"}} < ignoring(state) {m.PARTITIONS.name}{{state="all"}}'),
        lasting="30s",
        severity="critical",
        summary="only {{ $value }} partitions are held by a dispatcher",
    ),
    Alert(
        name="LorayardNoWorkers",
        expr=f"{m.WORKERS.name} == 0",
        lasting="1m",
        severity="critical",
        summary="no worker is alive",
    ),
    Alert(
        name="LorayardQueueStands",
        expr=f'max by (yard, adapter, lane) ({m.QUEUE_OLDEST.name}{{lane!="bulk"}}) > 300',
        lasting="1m",
        severity="critical",
        summary=(
            "the oldest job of {{ $labels.adapter }} in lane {{ $labels.lane }}"
            " waits {{ $value | humanizeDuration }}"
        ),
    ),
    Alert(
        name="LorayardStreamNearlyFull",
        expr=(
            f'{m.STREAM_BYTES.name}{{stream=~".*_(JOBS|RESULTS)"}}'
            f' / {m.STREAM_LIMIT.name}{{stream=~".*_(JOBS|RESULTS)"}} > 0.8'
        ),
        lasting="1m",
        severity="warning",
        summary="{{ $labels.stream }} is {{ $value | humanizePercentage }} full; a full one refuses",
    ),
    Alert(
        name="LorayardBusFlaps",
        expr=f"increase({m.BUS_RECONNECTS.name}[10m]) > 3",
        lasting="0m",
        severity="warning",
        summary="{{ $labels.instance }} lost the bus {{ $value | humanize }} times in 10 minutes",
    ),
    Alert(
        name="LorayardEmergency",
        expr=f"max by (yard) ({m.EMERGENCY.name}) == 1",
        lasting="30s",
        severity="critical",
        summary="workers hear no dispatcher and pull jobs by themselves",
    ),
    # ---- adapters in memory
    Alert(
        name="LorayardHitRateLow",
        expr=f"{_HITS} < 0.8 and {_ENOUGH_ROWS}",
        lasting="5m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of rows find their adapter in a slot",
    ),
    Alert(
        name="LorayardHitRateCritical",
        expr=f"{_HITS} < 0.7 and {_ENOUGH_ROWS}",
        lasting="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of rows find their adapter in a slot",
    ),
    Alert(
        name="LorayardLoadSlow",
        expr=f"{_quantile(0.95, m.LOAD, 'instance', tier='disk')} > 1",
        lasting="2m",
        severity="warning",
        summary="{{ $labels.instance }}: p95 of loads from disk is {{ $value | humanizeDuration }}",
    ),
    Alert(
        name="LorayardSwapSlow",
        expr=f"{_quantile(0.95, m.LOAD, 'instance', tier='host')} > 0.1",
        lasting="2m",
        severity="warning",
        summary="{{ $labels.instance }}: p95 of swaps from host memory is {{ $value | humanizeDuration }}",
    ),
    Alert(
        name="LorayardSwapsMany",
        expr=f"{_rate(m.SLOT_LOADS, '1m')} > 10",
        lasting="2m",
        severity="warning",
        summary="{{ $labels.instance }} swaps {{ $value | humanize }} adapters a second",
    ),
    Alert(
        name="LorayardEvictsRecentlyUsed",
        expr=f"{_regrets('in_use_lately')} > 0.25 and {_EVICTED} > 0.05",
        lasting="5m",
        severity="warning",
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of evictions take what is in use",
    ),
    Alert(
        name="LorayardEvictionRegretted",
        expr=f"{_regrets('wanted_again')} > 0.1 and {_EVICTED} > 0.05",
        lasting="5m",
        severity="warning",
        summary="{{ $labels.instance }}: {{ $value | humanizePercentage }} of evicted adapters are soon back",
    ),
    Alert(
        name="LorayardBlockingLoads",
        expr=(
            f"sum by (yard) ({_counted(m.LOAD, tier='disk')}) / {_FIRST_TOKENS} > 0.01"
            f" and {_FIRST_TOKENS} > {LEAST_ROWS}"
        ),
        lasting="5m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of rows wait for a read from disk",
    ),
    # ---- answers
    Alert(
        name="LorayardAdapterErrors",
        expr=f"{_FAILED} / {_ENDED} > 0.01",
        lasting="2m",
        severity="warning",
        summary="{{ $labels.adapter }}@{{ $labels.version }}: {{ $value | humanizePercentage }} of jobs fail",
    ),
    # ---- the planner
    Alert(
        name="LorayardJobsOverdue",
        expr=f'sum by (yard) ({m.OVERDUE.name}{{lane!="bulk"}}) > 0',
        lasting="1m",
        severity="warning",
        summary="{{ $value }} jobs wait past the bound of their lane",
    ),
    Alert(
        name="LorayardViewStale",
        expr=f"{m.VIEW_AGE.name} > 2",
        lasting="15s",
        severity="warning",
        summary="{{ $labels.instance }} has not heard a worker for {{ $value | humanizeDuration }}",
    ),
    Alert(
        name="LorayardPlansSlow",
        expr=f"{_quantile(0.99, m.PLAN, 'instance')} > 0.02",
        lasting="2m",
        severity="warning",
        summary="{{ $labels.instance }}: p99 of plans is {{ $value | humanizeDuration }}",
    ),
    Alert(
        name="LorayardUnfair",
        expr=f"{m.FAIRNESS_GAP.name} > {m.FAIRNESS_BOUND.name}",
        lasting="1m",
        severity="warning",
        summary="{{ $labels.instance }}: a tenant is {{ $value | humanize }} tokens behind another",
    ),
)

if __name__ == "__main__":
    sys.stdout.write(rules_file(ALERTS, *sys.argv[1:2]))
