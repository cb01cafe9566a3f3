"""The jobs a worker holds, and how many more it takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AdapterRef, AssignedJob
from lorayard_schemas.give_back import AliasLead, GiveBack
from lorayard_schemas.state import JobState, move
from lorayard_schemas.subjects import JobAddress
from lorayard_schemas.trace_context import UNTRACED

FORCED_JOBS = 8
"""Held beyond the room at most: about as many as wait for a row anyway, so that they wait a row longer."""


@dataclass(slots=True)
class HeldJob:
    """One accepted job."""

    assigned: AssignedJob
    address: JobAddress
    job: str
    cancelled: bool = False
    ending: bool = False
    """Its result is on the way to the store: a cancel comes too late, unless it gets there first."""
    state: JobState = JobState.ASSIGNED
    """As far as this worker knows: a job that is with the engine must not be given to it again, nor a
    scheduled one be scheduled again."""
    withdrawn: bool = False
    """It goes back, unless it has begun."""
    request_digest: str | None = None
    """For its result; known once its body was read."""
    traced: Mapping[str, str] = field(default_factory=lambda: UNTRACED)
    """`correlation_id` and `trace_id`, likewise, for whatever is told of it."""
    traceparent: str | None = None
    """The span that its own are children of, likewise."""
    taken_at: float = field(default_factory=time.time, compare=False)  # unix seconds

    def move(self, after: JobState) -> None:
        """Go on to the next state.

        Raises:
            IllegalTransitionError: a job cannot go there from where it is; nothing changed.
        """
        self.state = move(self.state, after)

    @property
    def key(self) -> str:
        """The job's identity."""
        return self.assigned.key

    @property
    def told(self) -> dict[str, str | None]:
        """What a line in a log says of it."""
        ref = self.assigned.adapter
        return {
            "job": self.job,
            "tenant": self.address.tenant,
            "adapter": self.address.adapter,
            "digest": None if ref is None else ref.digest,
        }

    def give_again(self, assigned: AssignedJob) -> bool:
        """The same job under a new lease; whether it is bound elsewhere by now.

        What it runs with stays: the answer has to name what made it."""
        runs = self.assigned
        self.assigned = assigned.model_copy(
            update={
                "adapter": runs.adapter,
                "composition": runs.composition,
                "rule": runs.rule,
                "confidence": runs.confidence,
                "alias": runs.alias,
                "additions": runs.additions,
            }
        )
        return _made_of(runs) != _made_of(assigned)

    def is_left_by(self, leads: Mapping[str, AliasLead]) -> bool:
        """Whether what led it to a version, or a part of it, leads there no more; `leads` by name."""
        return any(
            (lead := leads.get(alias.name)) is not None and lead.leaves(alias.name, alias.revision, version)
            for alias, version in led_by(self.assigned)
        )


def led_by(assigned: AssignedJob) -> Iterator[tuple[AliasRef, str]]:
    """The aliases that had a say, each with the version that it led to."""
    if assigned.alias is not None and assigned.adapter is not None:
        yield assigned.alias, assigned.adapter.version
    if assigned.composition is not None:
        for part in assigned.composition.parts:
            if part.alias is not None:
                yield part.alias, part.version


def _made_of(assigned: AssignedJob) -> tuple[AdapterRef | None, str | None]:
    """What it runs with: a later revision that leads to the same is no other."""
    return assigned.adapter, None if assigned.composition is None else assigned.composition.digest


def adapters_of(assigned: AssignedJob) -> tuple[AdapterRef, ...]:
    """Whose files a job needs: its adapter's, or those of all parts of its composition."""
    if assigned.composition is not None:
        return tuple(
            AdapterRef(name=part.name, version=part.version, digest=part.digest)
            for part in assigned.composition.parts
        )
    return () if assigned.adapter is None else (assigned.adapter,)


class HeldJobs:
    """Accepted and unfinished jobs by key."""

    def __init__(self, *, capacity: int) -> None:
        self._usual = self._capacity = capacity
        self._jobs: dict[str, HeldJob] = {}

    def __iter__(self) -> Iterator[HeldJob]:
        return iter(self._jobs.values())

    def __len__(self) -> int:
        return len(self._jobs)

    def digests(self) -> frozenset[str]:
        """Of all adapters that the jobs need."""
        return frozenset(ref.digest for job in self._jobs.values() for ref in adapters_of(job.assigned))

    @property
    def room(self) -> int:
        """How many more jobs are taken."""
        return max(0, self._capacity - len(self._jobs))

    @property
    def capped(self) -> bool:
        """Whether somebody has it take fewer than it could."""
        return self._capacity < self._usual

    def cap(self, most: int | None) -> None:
        """Take so many from now on, and none in advance; None: as many as there are rows, and a few more."""
        self._capacity = self._usual if most is None else min(most, self._usual)

    @property
    def most_rows(self) -> int:
        """How many may run at once."""
        return self._capacity

    @property
    def beyond(self) -> list[str]:
        """Keys of those that are held beyond the cap: the youngest."""
        return list(self._jobs)[self._capacity :] if self.capped else []

    def takes(self, *, forced: bool) -> bool:
        """Whether one more is taken; a forced one goes a little beyond the room."""
        return len(self._jobs) < self._capacity + (FORCED_JOBS if forced and not self.capped else 0)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all of them."""
        return tuple(self._jobs)

    def get(self, key: str) -> HeldJob | None:
        """The job, if it is held."""
        return self._jobs.get(key)

    def put(self, job: HeldJob) -> None:
        """Hold a job."""
        self._jobs[job.key] = job

    def drop(self, key: str) -> HeldJob | None:
        """Hold it no longer."""
        return self._jobs.pop(key, None)

    def meant_by(self, order: GiveBack) -> list[HeldJob]:
        """Those that an order asks back, begun or not."""
        named = [held for key in order.keys if (held := self._jobs.get(key)) is not None]
        if not order.aliases:
            return named
        leads = {lead.name: lead for lead in order.aliases}
        return named + [held for held in self._jobs.values() if held.is_left_by(leads)]

    def find(self, tenant: str, job: str) -> Iterable[HeldJob]:
        """The jobs of that name: two, when one was published twice."""
        return [held for held in self._jobs.values() if held.job == job and held.address.tenant == tenant]
