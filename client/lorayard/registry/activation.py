"""From pushed to serving: a worker tries a version, then it is let loose; and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import BusUnavailableError, NotValidatedError
from lorayard.yard_view import list_workers
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.validation import VALIDATE, ValidateAdapter, ValidateReply, Verdict
from lorayard_shared.registry.records import Author, Records

if TYPE_CHECKING:
    from lorayard.link import Link

LOOK_SECONDS = 2.0
"""Between two looks whether a worker that was asked still lives: a dead one answers nobody."""

VALIDATE_SECONDS = 300.0
"""For one worker: hundreds of MB come over the bus, then up to 17 generations beside its jobs."""


async def validate_version(link: Link, record: AdapterRecord, author: Author) -> AdapterRecord:
    """Have a worker try a version; one that was tried, or serves, stays as it is.

    Raises:
        NotValidatedError: it was refused, with module and reason; or no worker could try it, each with why.
    """
    records = Records(link.bus)
    if record.state in (AdapterState.REFUSED, AdapterState.ARCHIVED):
        moved = await records.move(
            record.name, record.version, AdapterState.PUSHED, author, verb="retry", digest=record.digest
        )
        record = moved.record
    if record.state is not AdapterState.PUSHED:
        return record
    excuses: dict[str, str] = {}
    for worker in _in_order(await list_workers(link), record):
        try:
            reply = await _ask(link, worker, record, author)
        except _WorkerEndedError:
            excuses[worker.worker] = "it ended as it tried it"
            continue
        except nats.errors.Error as error:
            excuses[worker.worker] = str(error).removeprefix("nats: ") or type(error).__name__
            continue
        if reply.verdict is Verdict.SOUND:
            return (await records.get(record.name, record.version)).record
        if reply.verdict is Verdict.REFUSED:
            raise NotValidatedError(
                label=record.label, reason=reply.reason, module=reply.module, worker=reply.worker
            )
        excuses[worker.worker] = reply.reason
    told = "; ".join(f"{worker}: {why}" for worker, why in excuses.items())
    raise NotValidatedError(
        label=record.label, reason=told or "no worker with a base model that it may fit is there to try it"
    )


async def activate_version(link: Link, record: AdapterRecord, author: Author) -> AdapterRecord:
    """Let a version serve, once a worker has tried it.

    Raises:
        NotValidatedError: as `validate_version`.
        TransitionError: its state does not allow it.
    """
    if record.state is AdapterState.PUSHED:
        record = await validate_version(link, record, author)
    moved = await Records(link.bus).move(
        record.name, record.version, AdapterState.ACTIVE, author, verb="activate", digest=record.digest
    )
    return moved.record


class _WorkerEndedError(Exception):
    """Whoever was asked is no more, and will not answer."""


async def _ask(link: Link, worker: WorkerAdvert, record: AdapterRecord, author: Author) -> ValidateReply:
    wish = ValidateAdapter(name=record.name, version=record.version, digest=record.digest, actor=author.actor)
    subject = link.bus.subjects.control(worker.worker, VALIDATE)
    asking = asyncio.ensure_future(link.bus.nc.request(subject, encode(wish), timeout=VALIDATE_SECONDS))
    try:
        while not (await asyncio.wait({asking}, timeout=LOOK_SECONDS))[0]:
            if not await _lives(link, worker):
                raise _WorkerEndedError
        return decode(ValidateReply, (await asking).data)
    finally:
        asking.cancel()  # does nothing to one that is done


async def _lives(link: Link, worker: WorkerAdvert) -> bool:
    """Whether it is the process that was asked; a bus that does not answer says nothing against it."""
    try:
        there = await list_workers(link)
    except (BusUnavailableError, nats.errors.Error):
        return True
    return any((one.worker, one.epoch) == (worker.worker, worker.epoch) for one in there)


def _in_order(workers: Sequence[WorkerAdvert], record: AdapterRecord) -> list[WorkerAdvert]:
    """Who may try it, whoever has it at hand or least to do first."""
    fit = [
        worker
        for worker in workers
        if record.base_digest in (None, worker.base_digest)
        and not worker.load.draining
        and worker.dedicated is None
        and not worker.trouble
    ]
    return sorted(
        fit, key=lambda worker: (record.digest not in worker.host, worker.rows_running, worker.worker)
    )
