"""What a modelled worker tells of itself."""

from __future__ import annotations

from collections import Counter

from lorayard_cli.simulation.router import Sight
from lorayard_cli.simulation.worker import ModelWorker
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WorkerView


def report(worker: ModelWorker, now: float, age_seconds: float) -> Sight:
    """The worker as it is now, for readers who will get it `age_seconds` later."""
    cluster = worker.cluster
    needed = Counter(job.adapter for job in worker.jobs if job.adapter != BASE_GROUP)
    resident = {
        adapter: Resident(
            jobs=needed[adapter], last_used=usage.last_used, loaded_at=worker.slots.since[adapter]
        )
        for adapter, usage in worker.slots.usage.items()
    }
    if worker.loading is not None:
        resident[worker.loading] = Resident(jobs=needed[worker.loading], last_used=now, loaded_at=now)
    view = WorkerView(
        worker=worker.worker,
        room=max(0, cluster.rows + cluster.lookahead - worker.in_flight),
        rows=cluster.rows,
        in_flight=worker.in_flight,
        slots=cluster.slots,
        resident=resident,
        host=frozenset(worker.host.usage),
        fetching=worker.coming_to_host,
        host_room=max(0, cluster.host - len(worker.host) - len(worker.coming_to_host)),
        load_seconds_host=cluster.load_seconds_host,
        load_seconds_disk=cluster.load_seconds_disk,
        age_seconds=age_seconds,
    )
    return Sight(
        view=view,
        running=worker.running,
        queued=len(worker.queue),
        active=needed.keys(),
        holding=frozenset(job.key for job in worker.jobs),
        taken=worker.taken,
        at=now,
    )
