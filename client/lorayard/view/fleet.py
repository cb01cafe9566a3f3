"""The workers of a yard as they were seen, those among them that are gone without having said so.

Who is lost is remembered by the bus: an advert that runs out leaves a mark in its bucket, for as long as a
lost worker is told of. So all who look tell the same, whenever they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lorayard.view.bucket_copy import Entry, Written
from lorayard_schemas.advert import WorkerAdvert
from lorayard_shared.bus.topology import WORKER_MARK_SECONDS, WORKER_TTL_SECONDS
from lorayard_shared.value import value

SILENT_SECONDS = 2.0
"""A worker writes each second: two beats are late. The one threshold: troubles, page and top go by it."""

LOST_SECONDS = 3.5
"""More than three beats. Its advert lives for 5, which is too late for who looks at a screen."""

REMEMBERED_SECONDS = float(WORKER_MARK_SECONDS)
"""Of one that was lost: a person has seen it by then."""

RATE_SECONDS = 1.0
"""Between two adverts that a rate is counted of, at least: they come 20 times a second where much happens."""


@value
class SeenWorker:
    """One worker."""

    name: str
    advert: WorkerAdvert | None
    """Its last one; None: it was gone before anybody looked, or it cannot be read."""
    stored_at: float
    """Unix seconds of that, by the server's clock."""
    gone: bool = False
    """Its advert has run out."""
    silent_since: float
    """Unix seconds: `stored_at`, or later where the bus itself was away."""
    tokens_per_second: float | None = None
    counted_from: WorkerAdvert | None = None
    """The advert that the rate is counted from."""

    def age(self, now: float) -> float:
        """Seconds since it was heard."""
        return max(0.0, now - self.stored_at)

    def lost(self, now: float) -> bool:
        """Whether it is gone, as far as can be told."""
        return self.gone or now - self.silent_since > LOST_SECONDS

    def silent(self, now: float) -> bool:
        """Whether it is late, and may come back."""
        return not self.lost(now) and now - self.silent_since > SILENT_SECONDS


class Fleet:
    """Takes what the bucket of workers holds at each look."""

    def __init__(self) -> None:
        self.workers: dict[str, SeenWorker] = {}

    def look(
        self, entries: Mapping[str, Entry[WorkerAdvert]], now: float, *, heard_from: float = 0.0
    ) -> None:
        """Both are unix seconds by the server's clock; before `heard_from` the bus was away."""
        for name, entry in entries.items():
            if entry.written is Written.VALUE:
                self._lives(name, entry, heard_from)
            elif entry.written is Written.TAKEN_DOWN:
                self.workers.pop(name, None)
            else:
                self._expired(name, entry.stored_at)
        for name in self.workers.keys() - entries.keys():
            self._expired(name, self.workers[name].stored_at)
        for name, known in list(self.workers.items()):
            if known.lost(now) and now - known.silent_since > REMEMBERED_SECONDS:
                del self.workers[name]

    def _lives(self, name: str, entry: Entry[WorkerAdvert], heard_from: float) -> None:
        advert, known = entry.value, self.workers.get(name)
        rate, base = _rate(known, advert)
        self.workers[name] = SeenWorker(
            name=name,
            advert=advert,
            stored_at=entry.stored_at,
            silent_since=max(entry.stored_at, heard_from),
            tokens_per_second=rate,
            counted_from=base,
        )

    def _expired(self, name: str, at: float) -> None:
        """`at` is when its advert ran out; who was cut off meanwhile has not seen its last ones."""
        known, heard = self.workers.get(name), at - WORKER_TTL_SECONDS
        if known is None:
            self.workers[name] = SeenWorker(
                name=name, advert=None, stored_at=heard, silent_since=heard, gone=True
            )
        elif not known.gone or known.stored_at < heard:
            self.workers[name] = replace(
                known,
                gone=True,
                stored_at=max(known.stored_at, heard),
                silent_since=max(known.silent_since, heard),
            )


def _rate(known: SeenWorker | None, advert: WorkerAdvert | None) -> tuple[float | None, WorkerAdvert | None]:
    """Tokens in a second, and what to count from the next time."""
    base = known.counted_from if known is not None else None
    if base is None or advert is None or base.epoch != advert.epoch:
        return None, advert
    passed = advert.at - base.at
    if passed < RATE_SECONDS:
        return known.tokens_per_second if known is not None else None, base
    written = advert.counters.completion_tokens - base.counters.completion_tokens
    return max(0.0, written / passed), advert
