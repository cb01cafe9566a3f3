"""Workers, adapters and queues as documents and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from lorayard import QueueDepth
from lorayard_cli.output import counted, plain, short_digest, table
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.advert import RefusedAdapter, WorkerAdvert
from lorayard_schemas.job import Lane
from lorayard_schemas.names import BASE, version_order

MOST_VERSIONS = 8
"""Of one adapter in a sentence, the newest."""

Refusals = dict[RefusedAdapter, list[str]]
"""A refused version -> the workers that refuse it."""


def hit_rate(adverts: Iterable[WorkerAdvert]) -> float | None:
    """Share of adapter jobs that found theirs in a slot; None before the first."""
    counters = [advert.counters for advert in adverts]
    hits = sum(counter.slot_hits for counter in counters)
    rows = sum(counter.adapter_rows for counter in counters)
    return hits / rows if rows else None


def percent(share: float | None) -> str:
    """`93 %`, or `-` when there is nothing to tell."""
    return "-" if share is None else f"{100 * share:.0f} %"


def names_by_digest(records: Iterable[AdapterRecord]) -> dict[str, str]:
    """What people call a digest: where versions share it, one that serves."""
    serving_last = sorted(records, key=lambda record: record.state is AdapterState.ACTIVE)
    return {record.digest: record.label for record in serving_last}


def worker_documents(adverts: Sequence[WorkerAdvert], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each worker's advert, with the names of what it holds and its hit rate."""
    return [
        {
            **advert.model_dump(mode="json"),
            "slots": [
                {**slot.model_dump(mode="json"), "adapter": names.get(slot.digest)} for slot in advert.slots
            ],
            "hit_rate": hit_rate([advert]),
        }
        for advert in adverts
    ]


def worker_table(adverts: Sequence[WorkerAdvert], names: Mapping[str, str]) -> Table:
    """One row per worker; the adapters it holds last, because they are long."""
    made = table(
        "worker", "model", "rows", "room", "slots", "hits", "done", "failed", "holds", right=_NUMBERS
    )
    for advert in adverts:
        held = ", ".join(names.get(slot.digest, short_digest(slot.digest)) for slot in advert.slots)
        made.add_row(
            plain(advert.worker) + _standing(advert),
            plain(advert.model.rpartition("/")[2]),
            f"{advert.rows_running}/{advert.rows_max}",
            str(advert.load.room),
            f"{len(advert.slots)}/{advert.slot_count}",
            percent(hit_rate([advert])),
            str(advert.counters.jobs_succeeded),
            str(advert.counters.jobs_failed),
            plain(held or "-"),
        )
    return made


def _standing(advert: WorkerAdvert) -> str:
    """Why it takes nothing, if somebody has said so."""
    if advert.load.draining:
        return " (draining)"
    return " (paused)" if advert.load.paused else ""


_NUMBERS = ("rows", "room", "slots", "hits", "done", "failed")


def adapter_table(records: Sequence[AdapterRecord], residents: Mapping[str, Sequence[str]]) -> Table:
    """One row per version."""
    made = table("adapter", "version", "rank", "MB", "digest", "state", "in a slot of", right=("rank", "MB"))
    for record in records:
        made.add_row(
            plain(record.name),
            plain(record.version),
            str(record.rank),
            f"{record.size_bytes / 1e6:.1f}",
            short_digest(record.digest),
            record.state.value,
            ", ".join(residents.get(record.label, ())) or "-",
        )
    return made


def residents_by_label(
    records: Iterable[AdapterRecord], adverts: Iterable[WorkerAdvert]
) -> dict[str, list[str]]:
    """Which workers hold a version in a slot; of versions that share their bytes, those that serve."""
    holders: dict[str, list[str]] = {}
    for advert in adverts:
        for slot in advert.slots:
            holders.setdefault(slot.digest, []).append(advert.worker)
    named = list(records)
    serving = {record.digest for record in named if record.state is AdapterState.ACTIVE}
    return {
        record.label: holders.get(record.digest, [])
        for record in named
        if record.state is AdapterState.ACTIVE or record.digest not in serving
    }


def refusals(adverts: Iterable[WorkerAdvert]) -> Refusals:
    """What workers have found in their adapters folder and do not serve, and which workers say so."""
    found: Refusals = {}
    for advert in adverts:
        for adapter in advert.refused_adapters:
            found.setdefault(adapter, []).append(advert.worker)
    return found


def apart(refused: Refusals, records: Iterable[AdapterRecord]) -> tuple[Refusals, dict[str, Refusals]]:
    """What is served nowhere; and by label what some worker has against a version that serves: it stands in
    the table of those that do, and its folder was changed or removed."""
    serving = {record.label for record in records if record.state is AdapterState.ACTIVE}
    nowhere: Refusals = {}
    troubles: dict[str, Refusals] = {}
    for adapter, workers in refused.items():
        label = f"{adapter.name}@{adapter.version}"
        of = troubles.setdefault(label, {}) if label in serving else nowhere
        of[adapter] = workers
    return nowhere, troubles


def several_versions(records: Iterable[AdapterRecord]) -> str:
    """`2 versions (1 archived, 2 active)`."""
    ordered = sorted(records, key=lambda record: version_order(record.version))
    told = ", ".join(f"{record.version} {record.state}" for record in ordered[-MOST_VERSIONS:])
    earlier = "... " if len(ordered) > MOST_VERSIONS else ""
    return f"{counted(len(ordered), 'version')} ({earlier}{told})"


def refusal_documents(refused: Refusals) -> list[dict[str, Any]]:
    """One entry per version and reason."""
    return [
        {**adapter.model_dump(mode="json"), "state": "refused", "workers": workers}
        for adapter, workers in refused.items()
    ]


def trouble_documents(trouble: Refusals) -> list[dict[str, Any]]:
    """One entry per reason that some workers have against a version that is active."""
    return [{"reason": adapter.reason, "workers": workers} for adapter, workers in trouble.items()]


def refusal_table(refused: Refusals) -> Table:
    """One row per version and reason."""
    made = table("adapter", "version", "state", "by", "reason")
    for adapter, workers in refused.items():
        made.add_row(
            plain(adapter.name), plain(adapter.version), "refused", ", ".join(workers), plain(adapter.reason)
        )
    return made


def queue_documents(depth: QueueDepth) -> list[dict[str, Any]]:
    """One entry per lane, tenant and adapter with jobs in it."""
    return [
        {"lane": address.lane.value, "tenant": address.tenant, "adapter": address.adapter, "jobs": jobs}
        for address, jobs in sorted(depth.unfinished.items(), key=lambda item: str(item[0]))
    ]


def queue_table(depth: QueueDepth) -> Table:
    """Adapters down, lanes across; tenants are added up."""
    counts: dict[str, dict[Lane, int]] = {}
    for address, jobs in depth.unfinished.items():
        name = "(the yard chooses)" if address.adapter is None else address.adapter
        row = counts.setdefault("base model" if name == BASE else name, {})
        row[address.lane] = row.get(address.lane, 0) + jobs
    lanes = tuple(lane.value for lane in Lane)
    made = table("adapter", *lanes, right=lanes)
    for name, row in sorted(counts.items()):
        made.add_row(plain(name), *(str(row.get(lane, 0)) for lane in Lane))
    return made
