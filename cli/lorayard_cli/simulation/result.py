"""What one run came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from lorayard_cli.simulation.simulated_job import SimulatedJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds from arrival to a row, of the jobs that got one."""

    jobs: int = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    longest: float = 0.0

    @staticmethod
    def of(jobs: Iterable[SimulatedJob]) -> Waits:
        """Of these jobs."""
        waits = sorted(job.started_at - job.waiting.enqueued_at for job in jobs if job.started_at is not None)
        if not waits:
            return Waits()
        return Waits(
            jobs=len(waits),
            p50=quantile(waits, 0.5),
            p95=quantile(waits, 0.95),
            p99=quantile(waits, 0.99),
            longest=waits[-1],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SimResult:
    """One run. Everything but the plan times is the same in every process."""

    router: str
    seed: int
    jobs: int
    unfinished: int  # when the run was cut off
    makespan_seconds: float  # first arrival to last answer
    jobs_per_second: float
    tokens_per_second: float
    waits: Waits
    waits_by_tenant: Mapping[str, Waits]
    waits_by_kind: Mapping[str, Waits]  # of adapter, where the traffic has kinds: hot and cold ...
    loads_per_1000: float  # into slots, per 1,000 jobs
    disk_per_1000: float  # disk reads, by loads and beside decoding
    blocking_per_1000: float  # disk reads for which a decoding worker stopped
    blocking_after_warm_up: int  # of those, after the first third of the arrivals
    hit_rate: float  # jobs that found their adapter in a slot
    stalled_share: float  # of the rows' time
    busy_share: float  # of the rows' time
    spread: float  # most jobs on a worker / mean, averaged until nothing waits; 1 is even
    worst_spread: float
    overrun: bool  # more waited than the trial allows, and the run ended there
    waiting_grew: float
    """Jobs without a row in the last tenth of the arrivals, less those in the sixth, per job in between."""
    late_wait_p95: float = 0.0
    """Of those that came in the second half of the arrivals; who has no row yet has waited until the end."""
    offered: float = (
        0.0  # load that really came: what it would take with every row busy / the time it came in
    )
    plan_milliseconds_p50: float = field(default=0.0, compare=False)
    plan_milliseconds_p99: float = field(default=0.0, compare=False)
    plans: int = field(default=0, compare=False)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, of values in order; 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
