"""Is somebody there to do the work, and do they agree on the base model."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence

from lorayard import Client, YardNotReadyError
from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_cli.embedded.liveness import ask_dispatcher, dispatchers_line
from lorayard_cli.fleet_tables import refusals
from lorayard_cli.worker_ends import worker_ends
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.audit import WorkerEnd, WorkerEndRecord
from lorayard_schemas.control import told
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus

ENDS_SECONDS = 86_400.0
"""Told of for a day."""

START_WORKER = "start one: lorayard worker --name w1 --adapters DIR (or a whole yard: lorayard up)"


async def check_fleet(bus: Bus, client: Client) -> AsyncIterator[Finding]:
    """Dispatcher, workers, base model, registered adapters, queue."""
    status = await ask_dispatcher(bus)
    if status is None:
        yield fail("dispatcher", "none answers", "start one: lorayard dispatcher")
    else:
        yield _dispatchers(status, bus.settings.partitions)
        for finding in _sight(status):
            yield finding
    try:
        workers, adapters = await client.workers(), await client.adapters()
        waiting = (await client.queue_depth()).total
    except YardNotReadyError as error:
        yield fail("workers", str(error), "lorayard doctor --mend, then start dispatcher and workers")
        return
    yield _workers(workers, waiting)
    alone = [advert.worker for advert in workers if advert.emergency]
    if alone:
        yield warn(
            "emergency",
            f"{', '.join(alone)} hear of no dispatcher and pull jobs by themselves, without a plan",
            "start one: lorayard dispatcher",
        )
    for finding in _ends(await worker_ends(bus), time.time()):
        yield finding
    for pause in (await client.control.list()).pauses:
        yield warn(
            pause.word,
            f"{told(pause)}: its jobs wait",
            f"when that is over: lorayard {pause.kind}s resume {pause.name}",
        )
    if workers:
        yield _base_model(workers)
        yield _adapters(workers, adapters)
        for refused, names in refusals(workers).items():
            yield warn(
                "refused adapters",
                f"{refused.name}@{refused.version} is not served by {', '.join(names)}: {refused.reason}",
                "mend or remove that version's folder, then start the workers again",
            )


def _dispatchers(status: DispatcherStatus, partitions: int) -> Finding:
    line = dispatchers_line(status)
    vacant = set(map(str, range(partitions))) - {*map(str, status.seats), *status.seats_elsewhere}
    if vacant:
        return warn(
            "dispatcher",
            f"{line}; nobody is active for partition {', '.join(sorted(vacant, key=int))}",
            "ask again in some seconds; then look into the dispatchers' logs",
        )
    return ok("dispatcher", line)


def _sight(status: DispatcherStatus) -> Iterator[Finding]:
    if status.blind:
        yield warn(
            "fleet",
            f"the dispatcher has not heard {status.stale} of {len(status.workers)} workers for 1.5 s",
            "look at the bus and at the load of the workers' machines; meanwhile jobs go by hash",
        )
    for key, reason in status.unread_adverts.items():
        yield warn(
            "adverts",
            f"what worker {key} says of itself is not believed: {reason}",
            "stop what writes there, or start that worker again with this version of lorayard",
        )


def _workers(workers: Sequence[WorkerAdvert], waiting: int) -> Finding:
    if not workers:
        stuck = f"; {waiting} jobs wait" if waiting else ""
        return fail("workers", f"none is alive{stuck}", START_WORKER)
    names = ", ".join(advert.worker for advert in workers)
    return ok("workers", f"{len(workers)} alive ({names}), {waiting} unfinished jobs")


def _ends(ends: Sequence[WorkerEndRecord], now: float) -> Iterator[Finding]:
    """Workers that hung, or whose engines died, lately; the newest end of each."""
    lately = [one for one in ends if one.end is not WorkerEnd.RECYCLED and one.at > now - ENDS_SECONDS]
    for worker, last in {one.worker: one for one in lately}.items():
        times = sum(1 for one in lately if one.worker == worker)
        yield warn(
            "worker ended",
            f"{worker} ended itself {times} times in a day, last: {last.reason}",
            f"what it stood at: lorayard workers show {worker} --stacks",
        )


def _base_model(workers: Sequence[WorkerAdvert]) -> Finding:
    by_digest: dict[str, list[str]] = {}
    for advert in workers:
        by_digest.setdefault(advert.base_digest, []).append(advert.worker)
    if len(by_digest) == 1:
        return ok("base model", f"all workers have {next(iter(by_digest))[:19]}")
    groups = "; ".join(f"{', '.join(names)}: {digest[:19]}" for digest, names in by_digest.items())
    return fail(
        "base model",
        f"the workers have different base models ({groups})",
        "start them all with the same --model, or give each model a yard of its own (--prefix)",
    )


def _adapters(workers: Sequence[WorkerAdvert], adapters: Sequence[AdapterRecord]) -> Finding:
    bases = {advert.base_digest for advert in workers}
    active = [record for record in adapters if record.state is AdapterState.ACTIVE]
    strangers = [
        f"{record.name}@{record.version}" for record in active if record.base_digest not in (None, *bases)
    ]
    if strangers:
        return warn(
            "registered adapters",
            f"{', '.join(strangers)}: made for a base model that no worker has",
            "start a worker with that model, or remove the adapters",
        )
    if not active:
        return warn("registered adapters", "none", "start workers with --adapters DIR")
    return ok("registered adapters", f"{len(active)} versions")
