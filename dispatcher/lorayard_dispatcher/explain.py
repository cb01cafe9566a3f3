"""Answer what a dispatcher knows of one job: parked and why, or at which worker."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.parked_job import ParkedJob, TakenJob
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_dispatcher.waiting import Fit, drain_for, label, wait_reason
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason, Whereabouts


def explain_job(dispatcher: Dispatcher, wish: ExplainJob) -> JobExplanation:
    """What this dispatcher knows of the job now."""
    parked = dispatcher.pool.find(wish.tenant, wish.job)
    if parked is not None:
        return _parked(dispatcher, parked)
    unresolved = dispatcher.unresolved(wish.tenant, wish.job)
    if unresolved is not None:
        return _unresolved(dispatcher, unresolved)
    worker = dispatcher.fleet.holder(wish.tenant, wish.job)
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.NOT_HERE if worker is None else Whereabouts.HANDED_OVER,
        workers=len(dispatcher.fleet.workers),
        worker=worker,
    )


def _parked(dispatcher: Dispatcher, parked: ParkedJob) -> JobExplanation:
    now, job, taken = time.time(), parked.waiting, parked.taken
    fit = Fit(group=job.group, base_digest=dispatcher.registry.base_of.get(job.group))
    views = dispatcher.fleet.views(time.monotonic(), now)
    reason = wait_reason(fit, views, alive=len(dispatcher.fleet.workers))
    drain = drain_for(job.group, dispatcher.drains) if reason is WaitReason.SLOTS_BUSY else None
    policy = Policy(wait_bound_seconds=dispatcher.settings.wait_bound_seconds)
    lane = _lane(dispatcher, job.priority)
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.PARKED,
        workers=len(dispatcher.fleet.workers),
        adapter=label(job.group, dispatcher.registry.labels),
        lane=taken.address.lane,
        waited_seconds=max(0.0, now - taken.enqueued_at),
        attempt=taken.attempt,
        reason=reason,
        ahead=sum(other.order < job.order for other in lane),
        oldest_seconds=max(0.0, now - min(other.enqueued_at for other in lane)),
        overdue_in_seconds=policy.bound(job) - now,
        worker=drain.worker if drain is not None else None,
        drains=label(drain.adapter, dispatcher.registry.labels) if drain is not None else None,
    )


def _unresolved(dispatcher: Dispatcher, taken: TakenJob) -> JobExplanation:
    """Workers register the adapters they have: with none alive, nobody knows yet which there are."""
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.PARKED,
        workers=len(dispatcher.fleet.workers),
        adapter=taken.address.adapter,
        lane=taken.address.lane,
        waited_seconds=max(0.0, time.time() - taken.enqueued_at),
        attempt=taken.attempt,
        reason=WaitReason.NO_WORKER,
    )


def _lane(dispatcher: Dispatcher, priority: int) -> Sequence[WaitingJob]:
    return [job for (_, lane), jobs in dispatcher.pool.queues.items() if lane == priority for job in jobs]
