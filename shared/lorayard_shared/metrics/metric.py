"""What a metric is, before there is a value of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How Prometheus reads it."""

    COUNTER = "counter"
    """Since the process started; a restart begins anew."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Whose port has it."""

    EVERY = "every process"
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    GATEWAY = "gateway"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Metric:
    """One name, the same wherever it is exposed. Two are never equal, so that one is a cheap key."""

    name: str
    """As Prometheus has it, with the unit, and `_total` of a counter."""
    kind: Kind
    help: str
    source: Source
    labels: tuple[str, ...] = ()
    unit: str = ""
    """What 1 is: `seconds`, `bytes`, `tokens` ..."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, rising; the last one, infinity, goes without saying."""
