"""Which series a board asks for: what its variables leave of a metric.

`yard` is a label that the scrape configuration gives, since one Prometheus may watch several yards; without
it the variable's `.*` matches all the same. Few metrics have tenants, so that none can be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_cli.monitoring.boards.board import Query, Variable
from lorayard_cli.monitoring.promql import equal, quantile, rate, selector, summed
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.metric import Metric, Source

WINDOW = "$__rate_interval"
"""Four scrapes at least, and no shorter than a pixel."""

YARD = Variable(name="yard", label="Yard", query=f"label_values({declared.PROCESS_INFO.name}, yard)")
ADAPTER = Variable(
    name="adapter",
    label="Adapter",
    query=f'label_values({declared.REQUESTS.name}{{yard=~"$yard"}}, adapter)',
)
WORKER = Variable(
    name="worker",
    label="Worker",
    query=f'query_result({declared.PROCESS_INFO.name}{{yard=~"$yard",part="worker"}})',
    pattern='/instance="(?<value>[^"]+)".*name="(?<text>[^"]+)"/',
)
"""Chosen by name; series have the address only."""

QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A board's variables: `yard` on each, the others where they fit what it is about."""

    adapters: bool = False
    workers: bool = False

    def matchers(self, metric: Metric) -> tuple[str, ...]:
        """What the variables ask of a metric."""
        found = ['yard=~"$yard"']
        if self.adapters and "adapter" in metric.labels:
            found.append('adapter=~"$adapter"')
        if self.workers and metric.source is Source.WORKER:
            found.append('instance=~"$worker"')
        return tuple(found)

    def now(self, metric: Metric, *more: str, **labels: str) -> str:
        """Its series, as they are; `more` are matchers."""
        return selector(metric.name, *self.matchers(metric), *equal(labels), *more)

    def rate(self, metric: Metric, *by: str, part: str = "", where: str = "", **labels: str) -> str:
        """What it gains in a second, summed by labels. `part` of a histogram: `_count`, `_sum`, `_bucket`;
        `where` is a matcher."""
        more = [where] if where else []
        gained = rate(metric.name + part, WINDOW, *self.matchers(metric), *equal(labels), *more)
        return summed(gained, *by)

    def gained(self, metric: Metric) -> str:
        """How often it happened lately, in all: for what is rare."""
        return f"sum(increase({self.now(metric)}[{WINDOW}]))"

    def quantiles(self, metric: Metric, *by: str, **labels: str) -> tuple[Query, ...]:
        """The usual three."""
        legend = " ".join(f"{{{{{label}}}}}" for label in by)
        return tuple(
            Query(expr=self.quantile(share, metric, *by, **labels), legend=f"{legend} {name}".strip())
            for share, name in QUANTILES
        )

    def quantile(self, share: float, metric: Metric, *by: str, **labels: str) -> str:
        """One of them."""
        return quantile(share, metric.name, WINDOW, *self.matchers(metric), *equal(labels), by=by)


def named(expr: str) -> str:
    """The same with the process's name beside its address, in `name`."""
    return f"({expr}) * on (instance) group_left (name) {declared.PROCESS_INFO.name}"


def share(part: str, whole: str) -> str:
    """A ratio; nothing where there is nothing to share."""
    return f"{part} / {whole}"


def greatest(expr: str, most: int = 10) -> str:
    """The first few."""
    return f"topk({most}, {expr})"
