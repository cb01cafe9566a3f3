"""Workers as placing sees them, and the demand that they and the queue show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence

from lorayard_dispatcher.known_worker import KnownWorker
from lorayard_dispatcher.planning.placement import Site
from lorayard_dispatcher.planning.values import BASE_GROUP, Queue, WorkerView


def site(known: KnownWorker) -> Site:
    """One worker, as its last advert has it."""
    advert = known.advert
    resident = frozenset(slot.digest for slot in advert.slots)
    return Site(
        worker=advert.worker,
        epoch=advert.epoch,
        marks=frozenset(f"{name}={value}" for name, value in advert.labels.items()),
        base_digest=advert.base_digest,
        rows=max(1, advert.rows_max),
        slots=advert.slot_count,
        columns=advert.columns_total,
        dedicated=advert.dedicated,
        bound=advert.bound and advert.dedicated is not None,
        lacks=frozenset(known.lacks),
        resident=resident,
        pinned=frozenset(slot.digest for slot in advert.slots if slot.pinned),
        host=known.host,
        coming=known.fetching,
    )


def demand(
    views: Iterable[WorkerView],
    queues: Mapping[Queue, Sequence[object]],
    known: Container[str] | None = None,
) -> dict[str, float]:
    """Jobs that run or wait, by group: the rows that it could use now.

    What is not among the `known` adapters (None: all are), a composition, counts with the base model: no
    worker can be given to it alone.
    """
    found: Counter[str] = Counter()
    for view in views:
        if view.dedicated is not None:
            found[view.dedicated] += view.in_flight
            continue
        jobs = {digest: resident.jobs for digest, resident in view.resident.items() if resident.jobs}
        found.update(jobs)
        found[BASE_GROUP] += max(0, view.in_flight - sum(jobs.values()))
    for (group, _), waiting in queues.items():
        found[group] += len(waiting)
    if known is not None:
        for group in [group for group in found if group and group not in known]:
            found[BASE_GROUP] += found.pop(group)
    return {group: float(rows) for group, rows in found.items() if rows}
