"""Answer what a dispatcher knows of one job: parked and why, or at which worker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob, WorkerView
from lorayard_dispatcher.waiting import Fit, wait_reason
from lorayard_schemas.control import Cap, Controlled, Pause, told
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.strike import Strike
from lorayard_shared.jobs.taken_job import TakenJob

SUSPECT = "workers died under it, so it runs alone, as soon as one has been kept free for it"

_HELD = {Strike: WaitReason.STRUCK, Pause: WaitReason.PAUSED, Cap: WaitReason.CAPPED}


def explain_job(dispatcher: Dispatcher, wish: ExplainJob) -> JobExplanation:
    """What this dispatcher knows of the job now."""
    parked = dispatcher.pool.find(wish.tenant, wish.job)
    if parked is not None:
        return _parked(dispatcher, parked)
    unresolved = dispatcher.unresolved.find(wish.tenant, wish.job)
    if unresolved is not None:
        return explain_unresolved(dispatcher, unresolved)
    worker = dispatcher.fleet.holder(wish.tenant, wish.job)
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.NOT_HERE if worker is None else Whereabouts.HANDED_OVER,
        workers=len(dispatcher.fleet.workers),
        worker=worker,
    )


def _parked(dispatcher: Dispatcher, parked: ParkedJob) -> JobExplanation:
    now = time.time()
    views = dispatcher.fleet.views(time.monotonic(), now)
    lane = _lane(dispatcher, parked.waiting.priority)
    return why_parked(dispatcher, parked, views, now).model_copy(
        update={
            "ahead": sum(other.order < parked.waiting.order for other in lane),
            "oldest_seconds": max(0.0, now - min(other.enqueued_at for other in lane)),
        }
    )


def why_parked(
    dispatcher: Dispatcher, parked: ParkedJob, views: Sequence[WorkerView], now: float
) -> JobExplanation:
    """The same without what takes a look at its whole lane; `now` is unix seconds."""
    job, taken = parked.waiting, parked.taken
    registry = dispatcher.registry
    made = parked.composition
    fit = Fit(
        group=job.group,
        base_digest=registry.base_of.get(job.group),
        columns=registry.columns_of.get(job.group, 0) if made is None else made.columns,
        parts=() if made is None else made.applied.digests,
        slots=1 if made is None else made.slots,
    )
    wait = dispatcher.planner.why(parked.key, now)
    reason = wait_reason(fit, views, wait, alive=len(dispatcher.fleet.workers))
    labels = dispatcher.registry.labels
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.PARKED,
        workers=len(dispatcher.fleet.workers),
        adapter=None if job.group == BASE_GROUP else labels.get(job.group, job.group),
        rule=parked.rule,
        semantic=parked.verdict,
        additions=parked.additions,
        lane=taken.address.lane,
        waited_seconds=max(0.0, now - taken.enqueued_at),
        attempt=taken.attempt,
        reason=reason,
        detail=_detail(dispatcher, reason, fit),
        overdue_in_seconds=dispatcher.planner.policy.bound(job) - now,
        moves_in_seconds=wait.until - now if wait is not None and wait.until is not None else None,
        worker=wait.worker if wait is not None else None,
        drains=labels.get(wait.drained, wait.drained) if wait is not None and wait.drained else None,
    )


def _detail(dispatcher: Dispatcher, reason: WaitReason, fit: Fit) -> str:
    if reason is WaitReason.PLACEMENT:
        return _placement(dispatcher, fit.parts or (fit.group,))
    return _paused_workers(dispatcher) if reason is WaitReason.NO_WORKER_TAKES_JOBS else ""


def _paused_workers(dispatcher: Dispatcher) -> str:
    """Who has paused which of those that are alive, and why."""
    controls = dispatcher.choosing.controls
    pauses = (controls.paused(Controlled.WORKER, name) for name in dispatcher.fleet.workers)
    return "; ".join(told(pause) for pause in pauses if pause is not None)


def _placement(dispatcher: Dispatcher, adapters: Iterable[str]) -> str:
    """Where adapters may be: workers that live, else as it was declared."""
    keeper, found = dispatcher.keeping.keeper, set[str]()
    for adapter in adapters:
        target, wish = keeper.targets.get(adapter), keeper.wishes.get(adapter)
        allowed = target.allowed if target is not None else None
        found.update(allowed or (wish.on if wish is not None else ()))
    return ", ".join(sorted(found))


def explain_unresolved(dispatcher: Dispatcher, taken: TakenJob) -> JobExplanation:
    """It is held back; or no worker is alive: they register what they have, so nobody knows what there is."""
    hold = dispatcher.unresolved.kept_by(taken)
    # Else its session is being read, which takes a moment.
    reason = WaitReason.NEXT_PLAN if dispatcher.fleet.workers else WaitReason.NO_WORKER
    detail = told(hold) if hold is not None else ""
    limited = dispatcher.limits.why(taken.address.tenant, taken.job)
    if limited is not None:
        reason, detail = WaitReason.LIMIT, detail or limited[0]
    elif dispatcher.isolation.has(taken.key):
        reason, detail = WaitReason.PLANNER, SUSPECT
    return JobExplanation(
        dispatcher=dispatcher.name,
        where=Whereabouts.PARKED,
        workers=len(dispatcher.fleet.workers),
        adapter=taken.address.adapter if taken.composition is None else taken.composition.label,
        lane=taken.address.lane,
        waited_seconds=max(0.0, time.time() - taken.enqueued_at),
        attempt=taken.attempt,
        reason=reason if hold is None else _HELD[type(hold)],
        detail=detail,
        moves_in_seconds=None if limited is None else limited[1],
    )


def _lane(dispatcher: Dispatcher, priority: int) -> Sequence[WaitingJob]:
    return [job for (_, lane), jobs in dispatcher.pool.queues.items() if lane == priority for job in jobs]
