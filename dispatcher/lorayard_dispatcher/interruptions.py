"""How often a job's worker died under it: what tells a poison job from one that only waited long.

The server's delivery count cannot: it rises with every restart of a dispatcher that had the job parked. What
is counted stands in a bucket, so it outlives this process and is shared with all others; here is a copy of
it, kept up by a watch. The delivery count stays behind it as a fuse.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TypeVar

import nats.errors
import nats.js.errors
import structlog

from lorayard_dispatcher.held_job import HeldJob
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.interruption import Interruption, InterruptionRecord, is_poison, is_suspect
from lorayard_shared.bus.delivery import read_ack_subject
from lorayard_shared.jobs.interruption_store import InterruptionStore
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.logs import Event

REMEMBERED_JOBS = 100_000
ORPHAN_SECONDS = 120.0
"""Leases run out in a fraction of it, unless somebody has set them much longer."""

WRITTEN_TOGETHER = 64
"""About what one worker holds: a round trip for all of them."""

V = TypeVar("V")

Noted = tuple[str, str, str, Interruption]
"""Key, tenant and id of a job, and the death to write."""


class Interruptions:
    """Deaths of workers by job key; the longest unseen are forgotten first."""

    def __init__(self, store: InterruptionStore | None = None, *, most: int = 3) -> None:
        """`most` make a job poison. Without a store they are counted here alone."""
        self._store = store
        self._most = most
        self._records: OrderedDict[str, InterruptionRecord] = OrderedDict()
        self._orphans: OrderedDict[str, tuple[str, bool, float]] = OrderedDict()
        """Jobs of others that a worker held when it died: the worker, whether it held nothing else, and
        when."""
        self._log = structlog.get_logger()

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket."""
        if value is None:
            return  # a day old: nobody asks any more
        try:
            record = decode(InterruptionRecord, value)
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return
        known = self._records.get(key)
        if known is not None and (known.tenant, known.job) == (record.tenant, record.job):
            for death in known.deaths:  # of what is being written just now
                record = record.with_death(death)
        self._keep(key, record)

    def died(self, worker: str, jobs: Sequence[HeldJob], holding: Collection[str]) -> list[Noted]:
        """A worker died with these jobs of ours; `holding` has the keys of all it held. What to write."""
        ours = {job.key for job in jobs}
        alone = len(ours.union(holding)) == 1
        for key in holding:
            if key not in ours:
                _remember(self._orphans, key, (worker, alone, time.monotonic()))
        noted = [
            (job.key, job.tenant, job.job, self._death(read_ack_subject(job.lease).deliveries, worker, alone))
            for job in jobs
        ]
        for each in noted:
            self._note(*each)
        return noted

    def lapsed(self, worker: str, job: TakenJob, holding: Collection[str]) -> list[Noted]:
        """A worker that lives let the lease of a job run out that has come again. What to write."""
        alone = not set(holding) - {job.key}
        noted = (job.key, job.address.tenant, job.job, self._death(job.deliveries - 1, worker, alone))
        self._note(*noted)
        return [noted]

    def came_again(self, job: TakenJob) -> list[Noted]:
        """A job has come again: if it was at a worker that died, given there by another dispatcher, that
        counts, unless the other has written it. What to write."""
        orphan = self._orphans.pop(job.key, None)
        if orphan is None:
            return []
        worker, alone, at = orphan
        if time.monotonic() - at > ORPHAN_SECONDS:
            return []  # it has come again in between, to somebody else
        noted = (job.key, job.address.tenant, job.job, self._death(job.deliveries - 1, worker, alone))
        self._note(*noted)
        return [noted]

    async def write(self, noted: Sequence[Noted]) -> None:
        """Have others know of these deaths; what the bus does not take is counted here alone."""
        if self._store is None:
            return
        for start in range(0, len(noted), WRITTEN_TOGETHER):
            part = noted[start : start + WRITTEN_TOGETHER]
            try:
                await asyncio.gather(*(self._store.note(*each) for each in part))
            except (nats.errors.Error, nats.js.errors.Error) as error:
                self._log.warning(Event.BUS_FAILED, jobs=len(part), error=str(error) or type(error).__name__)

    def times(self, key: str) -> int:
        """How often that happened to this job."""
        found = self._records.get(key)
        return 0 if found is None else len(found.deaths)

    def is_poison(self, job: TakenJob) -> bool:
        """Whether it may run no more."""
        found = self._of(job)
        return found is not None and is_poison(found.deaths, self._most)

    def is_suspect(self, job: TakenJob) -> bool:
        """Whether it is to be run alone."""
        found = self._of(job)
        return found is not None and is_suspect(found.deaths, self._most)

    def history(self, job: TakenJob) -> tuple[AttemptRecord, ...]:
        """The deaths, as its result tells them."""
        found = self._of(job)
        return () if found is None else found.attempts(job.attempt)

    def _of(self, job: TakenJob) -> InterruptionRecord | None:
        found = self._records.get(job.key)
        is_same = found is not None and (found.tenant, found.job) == (job.address.tenant, job.job)
        return found if is_same else None

    def _death(self, delivery: int, worker: str, alone: bool) -> Interruption:  # a fact
        return Interruption(delivery=max(1, delivery), worker=worker, at=time.time(), alone=alone)

    def _note(self, key: str, tenant: str, job: str, death: Interruption) -> None:
        known = self._records.get(key)
        if known is None or (known.tenant, known.job) != (tenant, job):
            known = InterruptionRecord(tenant=tenant, job=job)
        self._keep(key, known.with_death(death))

    def _keep(self, key: str, record: InterruptionRecord) -> None:
        _remember(self._records, key, record)


def _remember(kept: OrderedDict[str, V], key: str, value: V) -> None:
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > REMEMBERED_JOBS:
        kept.popitem(last=False)
