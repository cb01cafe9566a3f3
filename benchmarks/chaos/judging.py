"""Holds what lies in the streams against what was asked, ran and was done: everything that must not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.chaos.journal import Entry
from benchmarks.chaos.orders import ALIAS, ROLLING, Order
from benchmarks.chaos.records import Records, told_of
from benchmarks.chaos.runs import Runs
from benchmarks.chaos.verdicts import faults
from benchmarks.chaos.yard import SALT

from lorayard.job_ids import keyed_job_id
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.names import BASE
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus

SHOWN: Final = 20
"""Violations that are told in full."""
AFTER_SECONDS: Final = 10.0
"""So long a blow may bring a job back: the lease, and the start of what was hit."""
AGAIN_PER_BLOW: Final = 1000
"""Deliveries: what one dispatcher has parked and workers hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of a run."""

    orders: Sequence[Order]
    entries: Mapping[str, Entry]
    records: Records
    runs: Runs
    revisions: Mapping[int, AliasRecord]
    dealt: Sequence[tuple[float, float]]
    """Of each blow: when it began and was over, unix seconds."""
    given_up: Sequence[str]


def job_id(order: Order) -> str:
    """The id that its key makes."""
    return keyed_job_id(tenant=order.tenant, salt=SALT, key=order.key)


async def judge(bus: Bus, evidence: Evidence) -> list[dict[str, Any]]:
    """Each thing that must not be, with all that is known of it."""
    violations: list[dict[str, Any]] = []
    records = evidence.records
    ids = {job_id(order): order for order in evidence.orders}
    for job, order in ids.items():
        entry = evidence.entries.get(order.key, Entry())
        results = records.results.get(job, ())
        wrong = faults(order, entry, results, records.letters.get(job, ()))
        wrong += [fault for result in results for fault in _made_and_run(order, result, entry, evidence)]
        if wrong:
            told = await told_of(bus, order.tenant, job) if len(violations) < SHOWN else []
            ran = repr(evidence.runs.get(order.key, ()))
            facts = {"job": job, "order": repr(order), "faults": wrong, "journal": repr(entry), "runs": ran}
            violations.append({**facts, "told": told})
    strangers = (set(records.results) | set(records.letters)) - set(ids)
    violations += [{"job": job, "faults": ["nobody asked for it"]} for job in sorted(strangers)]
    return violations + [{"faults": [fault]} for fault in whole_faults(evidence)]


def _made_and_run(order: Order, result: JobResult, entry: Entry, evidence: Evidence) -> list[str]:
    told = [made_wrongly(order, result, evidence.revisions), ran_too_often(order, result, entry, evidence)]
    return [fault for fault in told if fault]


def made_wrongly(order: Order, result: JobResult, revisions: Mapping[int, AliasRecord]) -> str:
    """Whether its maker is the adapter that it names, or a version that its alias had at the revision that is
    named; empty: it is. The engine's own word of what it was given stands in the text (`verdicts`)."""
    maker, named = result.maker, order.request.adapter
    succeeded = result.state is ResultState.SUCCEEDED
    if named != ALIAS:
        wanted = None if named == BASE else named
        made = None if maker is None else maker.adapter
        return f"asked by {named}, and answered by {made}" if succeeded and made != wanted else ""
    if maker is None or maker.version is None:
        return f"asked by {ALIAS}, and answered by no version" if succeeded else ""
    if maker.alias is None or maker.alias.name != ALIAS or maker.adapter != ROLLING:
        return f"asked by {ALIAS}, and answered by {maker.alias} of {maker.adapter}"
    revision = revisions.get(maker.alias.revision)
    if revision is None:
        return f"its alias never had revision {maker.alias.revision}"
    if not revision.weight(maker.version):
        return f"revision {revision.revision} ({revision.shares}) did not allow {maker.version}"
    return ""


def ran_too_often(order: Order, result: JobResult, entry: Entry, evidence: Evidence) -> str:
    """Whether it ran more often than its attempts and what was hit meanwhile explain; empty: it did not."""
    runs = len(evidence.runs.get(order.key, ()))
    since = entry.submitted_at or 0.0
    blows = sum(
        began <= result.finished_at and since <= over + AFTER_SECONDS for began, over in evidence.dealt
    )
    if runs > result.attempt + blows:
        return f"it ran {runs} times, at {result.attempt} attempts and {blows} blows in its life"
    return ""


def whole_faults(evidence: Evidence) -> list[str]:
    """Of the yard, and of no one job."""
    records, found = evidence.records, list[str]()
    if records.gaps:
        found.append(f"{records.gaps} results were stored and are gone")
    if any(records.left.values()):
        found.append(f"messages are left: {records.left}")
    found += [f"under {subject} lies another job's result" for subject in records.misfiled]
    found += [f"a process cannot run any more: {told}" for told in evidence.given_up]
    if records.again > AGAIN_PER_BLOW * len(evidence.dealt):
        found.append(f"{records.again} deliveries beyond the first, under {len(evidence.dealt)} blows")
    return found
