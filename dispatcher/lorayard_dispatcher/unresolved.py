"""Jobs that cannot go into the pool: their adapter cannot be known yet, or somebody has struck them.

Nobody can know it while no worker has registered any, or while their session is being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lorayard_schemas.strike import Strike
from lorayard_shared.jobs.taken_job import TakenJob


class Unresolved:
    """By key; each waits for a worker or an adapter to appear, or for its strike to be lifted."""

    def __init__(self) -> None:
        self._jobs: dict[str, TakenJob] = {}
        self._strikes: dict[str, Strike] = {}
        """Of those jobs that are struck, by key."""
        self._held: set[str] = set()
        """Those that a limit keeps back for a while."""
        self._open: dict[str, None] = {}
        """Keys of those that any change may help, in the order in which they came."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[TakenJob]:
        return iter(self._jobs.values())

    @property
    def struck(self) -> int:
        """How many are struck."""
        return len(self._strikes)

    @property
    def aside(self) -> int:
        """How many are struck or kept back by a limit: they may take a window of their own."""
        return len(self._strikes) + len(self._held)

    def hold(self, job: TakenJob) -> TakenJob | None:
        """Keep a job that a limit lets in later, and that is called for then; returns as `put` does."""
        old = self.put(job, called=True)
        self._held.add(job.key)
        return old

    def put(self, job: TakenJob, strike: Strike | None = None, *, called: bool = False) -> TakenJob | None:
        """Keep a job; returns an older delivery of it under another lease.

        `called`: somebody will call for it by its key, and until then nothing has it looked at anew.
        """
        old = self._take(job.key) if job.key in self._jobs else None
        self._jobs[job.key] = job
        if strike is not None:
            self._strikes[job.key] = strike
        elif not called:
            self._open[job.key] = None
        return old if old is not None and old.lease != job.lease else None

    def strike(self, job: TakenJob) -> Strike | None:
        """What the job is kept back by."""
        return self._strikes.get(job.key)

    def find(self, tenant: str, job: str) -> TakenJob | None:
        """The job by the name its client knows."""
        return next((t for t in self if (t.address.tenant, t.job) == (tenant, job)), None)

    def take(self, tenant: str, job: str) -> TakenJob | None:
        """Remove a job and return it."""
        found = self.find(tenant, job)
        return self._take(found.key) if found is not None else None

    def take_keys(self, keys: Iterable[str]) -> list[TakenJob]:
        """Remove those that are here and return them."""
        return [self._take(key) for key in keys if key in self._jobs]

    def take_unknown(self) -> list[TakenJob]:
        """All that are neither struck nor to be called for, to be looked at anew."""
        return self.take_keys(list(self._open))

    def take_struck(self) -> list[TakenJob]:
        """All that are, in the order in which they came."""
        return self.take_keys(list(self._strikes))

    def take_all(self) -> list[TakenJob]:
        """Everything."""
        return self.take_keys(list(self._jobs))

    def take_expired(self, now: float) -> list[TakenJob]:
        """Remove and return those whose deadline is past (unix seconds)."""
        expired = [job.key for job in self if job.deadline is not None and job.deadline <= now]
        return self.take_keys(expired)

    def _take(self, key: str) -> TakenJob:
        self._strikes.pop(key, None)
        self._open.pop(key, None)
        self._held.discard(key)
        return self._jobs.pop(key)
