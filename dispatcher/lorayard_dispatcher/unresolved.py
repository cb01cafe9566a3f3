"""Jobs that cannot go into the pool: their adapter cannot be known yet, or somebody holds them back.

Nobody can know it while no worker has registered any, or while their session is being read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from heapq import nsmallest

from lorayard_schemas.control import Cap, Hold, Pause
from lorayard_schemas.job import Lane
from lorayard_schemas.strike import Strike
from lorayard_shared.bus.delivery import read_ack_subject
from lorayard_shared.jobs.taken_job import TakenJob

LANES = tuple(Lane)


class Unresolved:
    """By key; each waits for a worker or an adapter to appear, or for what holds it back to end."""

    def __init__(self) -> None:
        self._jobs: dict[str, TakenJob] = {}
        self._holds: dict[str, Hold | Cap] = {}
        """What keeps jobs back that are struck, paused or capped, by key."""
        self._capped: dict[str, dict[str, None]] = {}
        """Keys of those that wait for a cap, by what is capped."""
        self._kept: Counter[str] = Counter()
        """Jobs that are held back, by the consumer that gave them out."""
        self._held: set[str] = set()
        """Those that a rate or a quota keeps back for a while."""
        self._open: dict[str, None] = {}
        """Keys of those that any change may help, in the order in which they came."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[TakenJob]:
        return iter(self._jobs.values())

    @property
    def aside(self) -> int:
        """How many are kept back, by whatever: they may take a window of their own."""
        return len(self._holds) + len(self._held)

    @property
    def due_later(self) -> int:
        """How many a rate or a quota keeps back."""
        return len(self._held)

    def hold(self, job: TakenJob) -> TakenJob | None:
        """Keep a job that a cap lets in later, and that is called for then; returns as `put` does."""
        old = self.put(job, called=True)
        self._held.add(job.key)
        return old

    def counts(self) -> tuple[int, int, int]:
        """How many are struck, paused and capped."""
        kinds = Counter(type(hold) for hold in self._holds.values())
        return kinds[Strike], kinds[Pause], kinds[Cap]

    def kept(self, lease: str) -> int:
        """How many are held back of those that came from where this one did."""
        return self._kept[read_ack_subject(lease).consumer]

    @property
    def capped(self) -> list[str]:
        """What is capped and waited for."""
        return list(self._capped)

    def first_capped(self, thing: str, most: int) -> list[str]:
        """Keys of so many of those that wait for a cap: lane by lane, the oldest first."""
        jobs = [self._jobs[key] for key in self._capped.get(thing, ())]
        return [job.key for job in nsmallest(most, jobs, key=_turn)]

    def put(self, job: TakenJob, hold: Hold | Cap | None = None, *, called: bool = False) -> TakenJob | None:
        """Keep a job; returns an older delivery of it under another lease.

        `called`: somebody will call for it by its key, and until then nothing has it looked at anew.
        """
        old = self._take(job.key) if job.key in self._jobs else None
        self._jobs[job.key] = job
        if hold is not None:
            self._holds[job.key] = hold
            self._kept[read_ack_subject(job.lease).consumer] += 1
            if isinstance(hold, Cap):
                self._capped.setdefault(hold.thing, {})[job.key] = None
        elif not called:
            self._open[job.key] = None
        return old if old is not None and old.lease != job.lease else None

    def get(self, key: str) -> TakenJob | None:
        """The job, if it is here."""
        return self._jobs.get(key)

    def kept_by(self, job: TakenJob) -> Hold | Cap | None:
        """What the job is kept back by."""
        return self._holds.get(job.key)

    def find(self, tenant: str, job: str) -> TakenJob | None:
        """The job by the name its client knows."""
        return next((t for t in self if (t.address.tenant, t.job) == (tenant, job)), None)

    def take(self, tenant: str, job: str) -> TakenJob | None:
        """Remove a job and return it."""
        found = self.find(tenant, job)
        return self._take(found.key) if found is not None else None

    def take_jobs(self, tenant: str, jobs: Container[str]) -> list[TakenJob]:
        """Remove those of a tenant that are meant, and return them."""
        return self.take_keys([one.key for one in self if one.job in jobs and one.address.tenant == tenant])

    def take_keys(self, keys: Iterable[str]) -> list[TakenJob]:
        """Remove those that are here and return them."""
        return [self._take(key) for key in keys if key in self._jobs]

    def take_unknown(self) -> list[TakenJob]:
        """All that are neither held back nor to be called for, to be looked at anew."""
        return self.take_keys(list(self._open))

    def take_held(self) -> list[TakenJob]:
        """All that are held back, in the order in which they came."""
        return self.take_keys(list(self._holds))

    def take_all(self) -> list[TakenJob]:
        """Everything."""
        return self.take_keys(list(self._jobs))

    def take_expired(self, now: float) -> list[TakenJob]:
        """Remove and return those whose deadline is past (unix seconds)."""
        expired = [job.key for job in self if job.deadline is not None and job.deadline <= now]
        return self.take_keys(expired)

    def _take(self, key: str) -> TakenJob:
        self._open.pop(key, None)
        self._held.discard(key)
        job = self._jobs.pop(key)
        hold = self._holds.pop(key, None)
        if hold is not None:
            self._kept[read_ack_subject(job.lease).consumer] -= 1
        if isinstance(hold, Cap):
            waiting = self._capped[hold.thing]
            del waiting[key]
            if not waiting:
                del self._capped[hold.thing]
        return job


def _turn(job: TakenJob) -> tuple[int, float]:
    return LANES.index(job.address.lane), job.enqueued_at
