"""Bring versions to where they will be asked for, before an alias leads there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import nats.errors

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.order import AdapterOrder, OrderOutcome, OrderReply, OrderVerb
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket

ORDER_SECONDS = 5.0
"""A worker's loop never blocks; one that is silent for longer is left out."""
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preloaded:
    """What came of it."""

    ready: dict[str, tuple[str, ...]]
    """`name@version` -> workers that have it at hand."""
    trouble: tuple[str, ...]

    def missing(self) -> list[str]:
        """Versions that no worker has at hand."""
        return [label for label, workers in self.ready.items() if not workers]


async def preload(
    bus: Bus, wanted: Sequence[AdapterRecord], serving: Collection[str], seconds: float
) -> Preloaded:
    """Have the workers that hold any of `serving` (digests) load the wanted versions; where none does, one.

    Waits until they have them, `seconds` at most.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    adverts = await _workers(bus)
    trouble: list[str] = []
    asked: dict[str, dict[str, AdapterRecord]] = {}
    for record in wanted:
        for worker in _targets(adverts, record, serving):
            asked.setdefault(worker, {})[record.digest] = record
    for worker, records in asked.items():
        for digest, reason in (await _order(bus, worker, tuple(records))).items():
            trouble.append(f"worker {worker}: {records.pop(digest).label}: {reason}")
    late = await _wait(bus, asked, seconds)
    trouble += [
        f"worker {worker}: {record.label} was not there after {seconds:g} s" for worker, record in late
    ]
    ready = {
        record.label: tuple(
            sorted(
                worker
                for worker, records in asked.items()
                if record.digest in records and (worker, record) not in late
            )
        )
        for record in wanted
    }
    return Preloaded(ready=ready, trouble=tuple(trouble))


def _targets(adverts: Sequence[WorkerAdvert], record: AdapterRecord, serving: Collection[str]) -> list[str]:
    able = [
        advert
        for advert in adverts
        if not advert.load.draining
        and not advert.trouble
        and record.base_digest in (None, advert.base_digest)
        and advert.dedicated in (None, record.digest)
    ]
    holding = [advert.worker for advert in able if _held(advert) & set(serving)]
    return holding or [advert.worker for advert in able[:1]]


def _held(advert: WorkerAdvert) -> set[str]:
    return {*advert.host, *(slot.digest for slot in advert.slots)}


async def _order(bus: Bus, worker: str, digests: tuple[str, ...]) -> dict[str, str]:
    """Have a worker load them; returns why it does not, by digest."""
    subject = bus.subjects.control(worker, OrderVerb.LOAD)
    try:
        answer = await bus.nc.request(subject, encode(AdapterOrder(digests=digests)), timeout=ORDER_SECONDS)
        reply = decode(OrderReply, answer.data)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError, MalformedMessageError) as error:
        return dict.fromkeys(digests, str(error) or type(error).__name__)
    return {
        one.digest: f"{one.outcome}{f': {one.detail}' if one.detail else ''}"
        for one in reply.answers
        if one.outcome not in (OrderOutcome.QUEUED, OrderOutcome.THERE)
    }


async def _wait(
    bus: Bus, asked: dict[str, dict[str, AdapterRecord]], seconds: float
) -> list[tuple[str, AdapterRecord]]:
    """Until every worker has what it was asked for; returns what is not there at the end."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        held = {advert.worker: _held(advert) for advert in await _workers(bus)} if asked else {}
        late = [
            (worker, record)
            for worker, records in asked.items()
            for digest, record in records.items()
            if digest not in held.get(worker, ())
        ]
        if not late or asyncio.get_running_loop().time() >= end:
            return late
        await asyncio.sleep(LOOK_SECONDS)


async def _workers(bus: Bus) -> list[WorkerAdvert]:
    bucket = await bus.js.key_value(bus.subjects.bucket("workers"))
    found: list[WorkerAdvert] = []
    for entry in await list_bucket(bucket):
        if entry.operation is None and entry.value:
            try:
                found.append(decode(WorkerAdvert, entry.value))
            except MalformedMessageError:
                continue  # one that nobody else can read either
    return found
