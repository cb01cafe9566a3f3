"""What waits in a dispatcher, by adapter, and what the oldest of each waits for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from heapq import nlargest

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.explain import explain_unresolved, why_parked
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob
from lorayard_schemas.explanation import JobExplanation, WaitReason
from lorayard_schemas.status import OTHERS, ParkedGroup
from lorayard_shared.explaining.sentences import reason_text
from lorayard_shared.jobs.taken_job import TakenJob

MOST_EXPLAINED = 16
"""Of those that wait the longest: each takes a look at all workers, and who shows a yard asks each second."""

UNNAMED = "_"
"""Jobs whose adapter the yard is to choose, and has not."""

MOST_GROUPS = 1000
"""Told one by one, those that wait the longest; a status is a message, and is asked for each second."""


def parked_groups(dispatcher: Dispatcher, now: float) -> tuple[ParkedGroup, ...]:
    """Jobs that wait for room, by `name@version`; `now` is unix seconds."""
    names = dispatcher.registry.labels
    counts, oldest = Counter[str](), dict[str, WaitingJob]()
    for (group, _), jobs in dispatcher.pool.queues.items():
        name = "base" if group == BASE_GROUP else names.get(group, group)
        counts[name] += len(jobs)
        if name not in oldest or jobs[0].enqueued_at < oldest[name].enqueued_at:
            oldest[name] = jobs[0]
    told: dict[str, JobExplanation] = {}
    longest = nlargest(MOST_EXPLAINED, oldest, key=lambda name: -oldest[name].enqueued_at)
    views = dispatcher.fleet.views(time.monotonic(), now) if longest else ()
    for name in longest:
        parked = dispatcher.pool.get(oldest[name].key)
        if parked is not None:
            told[name] = why_parked(dispatcher, parked, views, now)
    waited = {name: now - job.enqueued_at for name, job in oldest.items()}
    return in_groups(counts, waited, told, {name: job.tenant for name, job in oldest.items()})


def held_groups(dispatcher: Dispatcher, now: float) -> tuple[ParkedGroup, ...]:
    """Jobs that something else keeps back than room, by adapter as they name it."""
    counts, oldest = Counter[str](), dict[str, TakenJob]()
    for job in dispatcher.unresolved:
        name = job.address.adapter or UNNAMED
        counts[name] += 1
        if name not in oldest or job.enqueued_at < oldest[name].enqueued_at:
            oldest[name] = job
    longest = nlargest(MOST_EXPLAINED, oldest, key=lambda name: -oldest[name].enqueued_at)
    told = {name: explain_unresolved(dispatcher, oldest[name]) for name in longest}
    waited = {name: now - job.enqueued_at for name, job in oldest.items()}
    return in_groups(counts, waited, told, {name: job.address.tenant for name, job in oldest.items()})


def in_groups(
    counts: Mapping[str, int],
    waited: Mapping[str, float],
    told: Mapping[str, JobExplanation],
    tenants: Mapping[str, str],
) -> tuple[ParkedGroup, ...]:
    """In the order of names, and what is left of them in one. All are by name: jobs, seconds that the oldest
    has waited, why, and whose that one is."""
    named = nlargest(MOST_GROUPS, counts, key=lambda name: waited[name])
    groups = [
        _group(name, counts[name], waited[name], told.get(name), tenants[name]) for name in sorted(named)
    ]
    if rest := counts.keys() - set(named):
        jobs, longest = sum(counts[name] for name in rest), max(waited[name] for name in rest)
        groups.append(ParkedGroup(adapter=OTHERS, jobs=jobs, oldest_seconds=max(0.0, longest)))
    return tuple(groups)


def _group(name: str, jobs: int, waited: float, told: JobExplanation | None, tenant: str) -> ParkedGroup:
    if told is None or told.reason is None:
        return ParkedGroup(adapter=name, jobs=jobs, oldest_seconds=max(0.0, waited))
    if told.reason is WaitReason.ROWS_BUSY:
        text = f"every row that could run {told.adapter or 'the base model'} is busy"
    else:
        text = reason_text(told, tenant)
    return ParkedGroup(
        adapter=name, jobs=jobs, oldest_seconds=max(0.0, waited), reason=told.reason.value, text=text
    )
