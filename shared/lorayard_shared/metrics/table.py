"""The table of all metrics in docs/metrics.md: `python -m lorayard_shared.metrics.table` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from lorayard_shared.metrics.declared import DECLARED
from lorayard_shared.metrics.metric import Metric, Source


def table() -> str:
    """In Markdown, a part for every kind of process."""
    return "\n".join(_part(source) for source in Source)


def _part(source: Source) -> str:
    lines = [
        f"### {source.value.capitalize()}",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    lines += _rows(metric for metric in DECLARED if metric.source is source)
    return "\n".join((*lines, ""))


def _rows(metrics: Iterable[Metric]) -> Iterable[str]:
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    sys.stdout.write(table())
