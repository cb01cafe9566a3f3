"""One look at a yard's bus, and how it reads as metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import JsonMap
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.labels import Labels
from lorayard_shared.metrics.readings import Readings

UNNAMED = "unnamed"

Queue = tuple[str, Lane]
"""The adapter as jobs name it, and their lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was there."""

    jobs: Mapping[Queue, int] = field(default_factory=dict[Queue, int])
    oldest: Mapping[Queue, float] = field(default_factory=dict[Queue, float])
    """Unix seconds, of those that were asked for so far."""
    delayed: int = 0
    streams: tuple[JsonMap, ...] = ()
    consumers: tuple[JsonMap, ...] = ()
    workers: tuple[WorkerAdvert, ...] = ()
    """Of those alive, whose adverts can be read."""
    workers_alive: int = 0
    dispatchers: int = 0
    seats: int = 0
    partitions: int = 1

    def read(self, readings: Readings, *, most_adapters: int) -> None:
        """As metrics, now."""
        now = time.time()
        self._queues(readings, named(self.jobs, most_adapters), now)
        readings.put(declared.DELAYED, self.delayed)
        for stream in self.streams:
            name, state = str(stream["config"]["name"]), stream["state"]
            readings.put(declared.STREAM_MESSAGES, state["messages"], name)
            readings.put(declared.STREAM_BYTES, state["bytes"], name)
            if (limit := stream["config"].get("max_bytes", -1)) > 0:
                readings.put(declared.STREAM_LIMIT, limit, name)
        for consumer in self.consumers:
            name = str(consumer["name"])
            readings.put(declared.LAG, consumer["num_pending"], name)
            readings.put(declared.UNACKED, consumer["num_ack_pending"], name)
            readings.put(declared.REDELIVERED, consumer["num_redelivered"], name)
            readings.put(declared.PULLS, consumer["num_waiting"], name)
        readings.put(declared.DISPATCHERS, self.dispatchers)
        readings.put(declared.PARTITIONS, self.seats, "held")
        readings.put(declared.PARTITIONS, self.partitions, "all")
        self._fleet(readings, now)

    def _queues(self, readings: Readings, label_of: Mapping[str, str], now: float) -> None:
        jobs, ages = Counter[Labels](), dict[Labels, float]()
        for queue, count in self.jobs.items():
            labels = (label_of[queue[0]], queue[1].value)
            jobs[labels] += count
            if count and (since := self.oldest.get(queue)) is not None:
                ages[labels] = max(ages.get(labels, 0.0), now - since)
        readings.put_all(declared.QUEUE, jobs.items())
        readings.put_all(declared.QUEUE_OLDEST, ages.items())

    def _fleet(self, readings: Readings, now: float) -> None:
        readings.put(declared.WORKERS, self.workers_alive)
        for advert in self.workers:
            readings.put(declared.WORKER_ROOM, advert.load.room, advert.worker)
            readings.put(declared.WORKER_ROWS, advert.rows_running, advert.worker)
            readings.put(declared.WORKER_AGE, max(0.0, now - advert.at), advert.worker)


def named(jobs: Mapping[Queue, int], most: int) -> dict[str, str]:
    """Adapter -> its label: those with the most jobs keep their names, the rest are `other`."""
    waiting = Counter[str]()
    for (adapter, _), count in jobs.items():
        waiting[adapter] += count
    kept = {adapter for adapter, _ in waiting.most_common(most)}
    return {adapter: adapter if adapter in kept else declared.OTHER for adapter in waiting}


def in_turn(queues: Iterable[Queue], after: Queue | None, most: int) -> list[Queue]:
    """So many of the queues, beginning behind the one that was the last before."""
    order = sorted(queues)
    start = 0 if after is None else sum(queue <= after for queue in order)
    return (order[start:] + order[:start])[:most]
