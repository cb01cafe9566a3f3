"""Rows of a snapshot, made of what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lorayard.view.fleet import SeenWorker
from lorayard.view.yard_state import YardState
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.batch_record import BatchRecord, BatchStatus
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import BatchRow, Overview, QueueRow, WaitRow, WorkerRow
from lorayard_schemas.status import OTHERS, DispatcherStatus
from lorayard_schemas.subjects import JobAddress

ENDED_SECONDS = 3600.0
"""A batch that ended is shown for so long."""

MOST_BATCHES = 500
MOST_WAITS = 1000

_ENDED = frozenset({BatchStatus.FAILED, BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})


def overview(state: YardState) -> Overview:
    """The yard in a line."""
    alive = [worker for worker in state.workers if not worker.lost(state.now)]
    by_lane: Counter[Lane] = Counter()
    for address, jobs in state.depth.jobs.items():
        by_lane[address.lane] += jobs
    oldest = min(state.lane_ages.values(), default=None)
    return Overview(
        unfinished=state.depth.unfinished,
        delayed=state.depth.delayed,
        at_workers=sum(one.advert.rows_running for one in alive if one.advert is not None),
        oldest_seconds=None if oldest is None else max(0.0, state.now - oldest),
        by_lane=dict(by_lane),
        dead_letters=state.depth.dead,
        workers=len(alive),
        workers_lost=len(state.workers) - len(alive),
        dispatchers=len(state.living),
        adapters=sum(record.state is AdapterState.ACTIVE for record in state.adapters),
        hit_rate=state.rates.hit_rate,
        jobs_per_second=state.rates.jobs_per_second,
        tokens_per_second=state.rates.tokens_per_second,
        loads_per_second=state.rates.loads_per_second,
    )


def queue_rows(state: YardState) -> list[QueueRow]:
    """The most jobs first."""

    def weight(item: tuple[JobAddress, int]) -> tuple[int, str, str, str]:
        address, jobs = item
        return -jobs, address.lane, address.tenant, address.adapter or ""

    def age(address: JobAddress) -> float | None:
        at = state.queue_ages.get(address)
        return None if at is None else max(0.0, state.now - at)

    return [
        QueueRow(
            lane=address.lane,
            tenant=address.tenant,
            adapter=address.adapter,
            jobs=jobs,
            oldest_seconds=age(address),
        )
        for address, jobs in sorted(state.depth.jobs.items(), key=weight)
    ]


def wait_rows(dispatchers: Iterable[DispatcherStatus]) -> tuple[WaitRow, ...]:
    """What waits in all dispatchers, those that wait the longest first, and the rest of it in one row."""
    rows: dict[str, WaitRow] = {}
    for status in dispatchers:
        for group in (*status.parked, *status.held):
            row = WaitRow(
                adapter=group.adapter,
                jobs=group.jobs,
                oldest_seconds=max(0.0, group.oldest_seconds),
                reason=group.reason,
                text=group.text,
            )
            other = rows.get(group.adapter)
            if other is not None:
                older = max(row, other, key=lambda one: one.oldest_seconds)
                row = older.model_copy(update={"jobs": row.jobs + other.jobs})
            rows[group.adapter] = row
    others = rows.pop(OTHERS, None)
    ordered = sorted(rows.values(), key=lambda row: (-row.oldest_seconds, row.adapter))
    rest = ordered[MOST_WAITS:] + ([] if others is None else [others])
    return (*ordered[:MOST_WAITS], *_together(rest))


def _together(rest: Sequence[WaitRow]) -> Iterator[WaitRow]:
    if rest:
        jobs, oldest = sum(row.jobs for row in rest), max(row.oldest_seconds for row in rest)
        yield WaitRow(adapter=OTHERS, jobs=jobs, oldest_seconds=oldest)


def worker_rows(state: YardState, names: Mapping[str, str]) -> list[WorkerRow]:
    """By name, the lost ones first; `names` are those of adapters by digest."""
    rows = [_worker_row(worker, state.now, names) for worker in state.workers]
    return sorted(rows, key=lambda row: (not row.lost, row.worker))


def _worker_row(seen: SeenWorker, now: float, names: Mapping[str, str]) -> WorkerRow:
    advert, lost, silent = seen.advert, seen.lost(now), seen.silent(now)
    if advert is None or seen.gone:
        # Of one whose advert has run out: the same from who has seen it and from who has come later.
        return WorkerRow(worker=seen.name, age_seconds=seen.age(now), lost=lost, silent=silent)
    counters = advert.counters
    rows = counters.adapter_rows
    return WorkerRow(
        worker=seen.name,
        epoch=advert.epoch,
        age_seconds=seen.age(now),
        lost=lost,
        silent=silent,
        engine=advert.engine,
        model=advert.model,
        rows_running=0 if lost else advert.rows_running,
        rows_max=advert.rows_max,
        room=0 if lost else advert.load.room,
        slots_used=len(advert.slots),
        slot_count=advert.slot_count,
        adapters=tuple(names.get(slot.digest, slot.digest) for slot in advert.slots),
        hit_rate=min(1.0, max(0.0, counters.slot_hits / rows)) if rows > 0 else None,
        slot_bytes=advert.slot_bytes,
        host_bytes=advert.host_bytes,
        tokens_per_second=None if lost else seen.tokens_per_second,
        succeeded=counters.jobs_succeeded,
        failed=counters.jobs_failed,
        draining=advert.load.draining,
        paused=advert.load.paused,
        emergency=advert.emergency,
        trouble=advert.trouble,
        dedicated=None if advert.dedicated is None else names.get(advert.dedicated, advert.dedicated),
        pid=advert.pid,
    )


def batch_rows(batches: Iterable[BatchRecord], now: float) -> tuple[BatchRow, ...]:
    """Those that run, and those that ended lately; the newest first."""
    shown = sorted(_shown(batches, now), key=lambda one: (-one.created_at, one.id))
    return tuple(
        BatchRow(
            batch=one.id,
            tenant=one.tenant,
            status=one.status.value,
            total=one.counts.total,
            completed=one.counts.completed,
            failed=one.counts.failed,
            created_at=one.created_at,
        )
        for one in shown[:MOST_BATCHES]
    )


def _shown(batches: Iterable[BatchRecord], now: float) -> Iterator[BatchRecord]:
    for one in batches:
        ends = (one.completed_at, one.failed_at, one.expired_at, one.cancelled_at)
        ended_at = max((at for at in ends if at is not None), default=0.0)
        if one.status not in _ENDED or now - ended_at < ENDED_SECONDS:
            yield one


def names_by_digest(records: Iterable[AdapterRecord]) -> dict[str, str]:
    """What people call a digest: where versions share it, one that serves."""
    serving_last = sorted(records, key=lambda record: record.state is AdapterState.ACTIVE)
    return {record.digest: record.label for record in serving_last}
