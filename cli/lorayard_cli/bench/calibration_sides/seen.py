"""What a live yard was seen to do with a trace. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lorayard_cli.bench.figures import percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob:
    """One job as its result tells it; moments are unix seconds, by this machine's clock."""

    adapter: str
    submitted_at: float
    started_at: float  # its row
    ended_at: float
    worker: str
    tokens: int  # written
    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorker:
    """What one worker says of itself at the end: its adverts' means and counters."""

    slot_loads: int
    disk_loads: int
    load_seconds_host: float  # 0: none was loaded
    load_seconds_disk: float
    host_bytes_per_adapter: float  # 0: none is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One trace, played on one yard; jobs in the order they were submitted in."""

    jobs: Sequence[SeenJob]
    workers: Sequence[SeenWorker]

    @property
    def jobs_per_second(self) -> float:
        """First submission to last answer."""
        first, last = self.jobs[0].submitted_at, max(job.ended_at for job in self.jobs)
        return len(self.jobs) / (last - first)

    @property
    def loads_per_1000(self) -> float:
        """Into slots."""
        return 1000.0 * sum(worker.slot_loads for worker in self.workers) / len(self.jobs)

    @property
    def wait_p95(self) -> float:
        """Seconds from submission to a row."""
        return percentile([job.started_at - job.submitted_at for job in self.jobs], 0.95)

    @property
    def load_seconds_host(self) -> float:
        """Mean of the workers that loaded."""
        return _mean_of([worker.load_seconds_host for worker in self.workers])

    @property
    def load_seconds_disk(self) -> float:
        """The same."""
        return _mean_of([worker.load_seconds_disk for worker in self.workers])


def _mean_of(values: Sequence[float]) -> float:
    told = [value for value in values if value > 0.0]
    return fmean(told) if told else 0.0
