"""What was given to engines, and when: how often a job ran, and how soon again after a kill."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY: Final = re.compile(rb"(?:order-\d+-\w+|probe-\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row."""

    worker: str
    at: float
    """Unix seconds, by the runner's clock."""


Runs = Mapping[str, Sequence[Run]]
"""By order, the earliest first."""


def read_runs(folder: Path, workers: Sequence[str], offset: float) -> Runs:
    """Of all lives of these workers.

    `offset` is unix time less monotonic time: a worker's own clock may jump.
    """
    runs: dict[str, list[Run]] = defaultdict(list)
    for worker in workers:
        path = folder / f"runs-{worker}"
        for line in path.read_bytes().splitlines() if path.exists() else ():
            found = KEY.search(line)
            if found is not None:
                run = Run(worker=worker, at=float(line.split()[0]) + offset)
                runs[found[0].decode()].append(run)
    return {key: sorted(listed, key=lambda run: run.at) for key, listed in runs.items()}


def deaths(runs: Runs) -> list[tuple[float, float]]:
    """When jobs that end their workers did so."""
    return [(run.at, run.at) for key, listed in runs.items() if key.endswith("poison") for run in listed]


def taken_up_again(runs: Runs, worker: str, at: float, ended: Mapping[str, float]) -> list[float]:
    """Seconds from a worker's death until each job that it was running was run again.

    `ended` says when each has ended; one that ended without another run (cancelled, expired) tells nothing.
    """
    found: list[float] = []
    for key, listed in runs.items():
        before = [run for run in listed if run.at <= at]
        if not before or before[-1].worker != worker or ended.get(key, 0.0) <= at:
            continue
        again = [run for run in listed if run.at > at]
        if again:
            found.append(again[0].at - at)
    return found
