"""What a scrape read: values by metric and labels, taken in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lorayard_shared.metrics.histogram import Counts, Histogram
from lorayard_shared.metrics.labels import Labels
from lorayard_shared.metrics.metric import Kind, Metric

Value = float | Counts


class Readings:
    """Values of one scrape."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[Metric, list[tuple[Labels, Value]]] = {}

    @property
    def rows(self) -> Mapping[Metric, list[tuple[Labels, Value]]]:
        """By metric."""
        return self._rows

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """The value under these labels."""
        assert len(labels) == len(metric.labels), f"{metric.name} has the labels {metric.labels}"
        assert metric.kind is not Kind.HISTOGRAM, f"{metric.name} is a histogram"
        self._rows.setdefault(metric, []).append((labels, float(value)))

    def put_all(self, metric: Metric, values: Iterable[tuple[Labels, float]]) -> None:
        """Values under many labels."""
        self._rows.setdefault(metric, []).extend(values)

    def put_counts(self, metric: Metric, counts: Counts, *labels: str) -> None:
        """A histogram's counts."""
        self._rows.setdefault(metric, []).append((labels, counts))

    def put_histograms(self, metric: Metric, found: Mapping[Labels, Histogram]) -> None:
        """Histograms under their labels."""
        self._rows.setdefault(metric, []).extend((key, each.counts()) for key, each in found.items())
