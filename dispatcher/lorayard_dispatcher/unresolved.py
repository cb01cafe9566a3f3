"""Jobs whose adapter nobody can know yet: no worker has registered any, or their session is being read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lorayard_shared.jobs.taken_job import TakenJob


class Unresolved:
    """By key; each waits for a worker or an adapter to appear."""

    def __init__(self) -> None:
        self._jobs: dict[str, TakenJob] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[TakenJob]:
        return iter(self._jobs.values())

    def put(self, job: TakenJob) -> TakenJob | None:
        """Keep a job; returns an older delivery of it under another lease."""
        old = self._jobs.get(job.key)
        self._jobs[job.key] = job
        return old if old is not None and old.lease != job.lease else None

    def find(self, tenant: str, job: str) -> TakenJob | None:
        """The job by the name its client knows."""
        return next((t for t in self if (t.address.tenant, t.job) == (tenant, job)), None)

    def take(self, tenant: str, job: str) -> TakenJob | None:
        """Remove a job and return it."""
        found = self.find(tenant, job)
        return self._jobs.pop(found.key) if found is not None else None

    def take_keys(self, keys: Iterable[str]) -> list[TakenJob]:
        """Remove those that are here and return them."""
        return [job for key in keys if (job := self._jobs.pop(key, None)) is not None]

    def take_all(self) -> list[TakenJob]:
        """Everything, to be looked at anew."""
        jobs, self._jobs = list(self._jobs.values()), {}
        return jobs

    def take_expired(self, now: float) -> list[TakenJob]:
        """Remove and return those whose deadline is past (unix seconds)."""
        expired = [job for job in self if job.deadline is not None and job.deadline <= now]
        for job in expired:
            del self._jobs[job.key]
        return expired
