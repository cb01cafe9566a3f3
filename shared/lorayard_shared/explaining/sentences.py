"""One true sentence about a job."""

from __future__ import annotations

from datetime import UTC, datetime

from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.control import told
from lorayard_schemas.explanation import JobExplanation, WaitReason
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.explaining.decisions import meant, seconds, why
from lorayard_shared.explaining.evidence import Evidence, JobState


def sentence(found: Evidence) -> str:
    """What is to be said of the job."""
    return f"job {found.job} {_SAYS[found.state](found)}"


def _finished(found: Evidence) -> str:
    result = found.result
    assert result is not None, "the state says so"
    ended = f"{result.state.value} {seconds(found.now - result.finished_at)} ago"
    if result.maker is None:
        return f"{ended} without running{_cause(result)}"
    place = f"{ended} at worker {result.maker.worker}{_attempt(result.attempt)}{_cause(result)}"
    decision = found.decision
    if decision is None or decision.worker != result.maker.worker:
        return f"{place}; no audit record says why it went there"
    waited = seconds(decision.waited_ms / 1000)
    because = f"because {why(decision)}{_otherwise(found)}{_chosen(decision)}"
    return f"{place}; it went there after {waited}, {because}"


def _cause(result: JobResult) -> str:
    if result.error is not None:
        return f": {result.error.message} ({result.error.code})"
    return ": its deadline had passed" if result.state is ResultState.EXPIRED else ""


def _otherwise(found: Evidence) -> str:
    """Where the adapter was found, if that is not what the dispatcher believed."""
    result, decision = found.result, found.decision
    assert result is not None, "only of finished jobs"
    assert result.maker is not None, "only of those that ran"
    assert decision is not None, "only of those on record"
    tier = result.maker.tier
    if (
        (decision.adapter is None and decision.composition is None)
        or tier not in ("slot", "host", "disk")
        or tier == decision.source
    ):
        return ""
    return ", and found it in a slot" if tier == "slot" else f", which then took it from {tier}"


def _parked(found: Evidence) -> str:
    live = found.live
    assert live is not None, "the state says so"
    lane = f" in lane {live.lane}" if live.lane else ""
    back = found.returned
    after = f", after worker {back.worker} gave it back ({back.reason})" if back is not None else ""
    waits = f"has waited {seconds(live.waited_seconds)}{lane}{_attempt(live.attempt)}{after}"
    chosen = f"{meant(live.semantic, live.rule)}{_added(live)}"
    return f"{waits}: {reason_text(live, found.tenant)}{_overdue(live)}{chosen}"


def _added(told: DecisionRecord | JobExplanation) -> str:
    """What rules did to its adapter."""
    return f"; {told.additions.label}" if told.additions is not None and told.additions.label else ""


def reason_text(live: JobExplanation, tenant: str) -> str:
    """What a parked job waits for."""
    adapter = live.adapter or "the base model"
    match live.reason:
        case WaitReason.NO_WORKER:
            return "no worker is alive"
        case WaitReason.NO_WORKER_TAKES_JOBS:
            paused = f"; paused: {live.detail}" if live.detail else ""
            return f"{_workers(live)} alive, but draining, paused or not heard for too long{paused}"
        case WaitReason.NO_BASE:
            return f"{_workers(live)} alive, none with the base model that {adapter} was made for"
        case WaitReason.NO_FILES:
            return f"{_workers(live)} alive, none that serves {adapter}"
        case WaitReason.PLACEMENT:
            return f"{_workers(live)} alive, and {adapter} was declared to be nowhere but on {live.detail}"
        case WaitReason.DEDICATED:
            return f"{_workers(live)} alive, and each that could run {adapter} serves another adapter alone"
        case WaitReason.ROWS_BUSY:
            return f"every row that could run {adapter} is busy, and {_ahead(live)}"
        case WaitReason.SLOTS_BUSY:
            return f"{adapter} needs a slot, and every one is in use where a row is free; {_drain(live)}"
        case WaitReason.TENANT_SHARE:
            return f"tenant {tenant} is past its share while others wait"
        case WaitReason.SESSION_WORKER:
            has = f"worker {live.worker}, which has its session's conversation"
            return f"it waits for a row of {has}{_moves(live)}"
        case WaitReason.FETCH:
            return f"{adapter} is on its way into the host memory of worker {live.worker}"
        case WaitReason.NEXT_PLAN:
            return f"there is room for {adapter}, so it goes with one of the next plans"
        case WaitReason.STRUCK:
            return f"somebody has struck {live.detail}; `lorayard strikes lift` lets it run"
        case WaitReason.PAUSED:
            return _paused(live.detail)
        case WaitReason.LIMIT:
            wait = seconds(live.moves_in_seconds or 0.0)
            return f"its turn within the rate of {live.detail} has not come; it goes in {wait}"
        case WaitReason.CAPPED:
            return f"{live.detail}; it goes when another one has ended"
        case WaitReason.PLANNER | None:
            return live.detail or "the planner gives no reason"


def _paused(what: str) -> str:
    return f"somebody has paused {what}; `lorayard control ls` shows what is paused"


def _workers(live: JobExplanation) -> str:
    return "1 worker is" if live.workers == 1 else f"{live.workers} workers are"


def _ahead(live: JobExplanation) -> str:
    if not live.ahead:
        return "it is the oldest of its lane"
    jobs = "1 older job of its lane is" if live.ahead == 1 else f"{live.ahead} older jobs of its lane are"
    return f"{jobs} ahead, the oldest since {seconds(live.oldest_seconds)}"


def _drain(live: JobExplanation) -> str:
    if live.drains is None:
        return "none is drained for it yet"
    return f"{live.drains} gets no new rows on worker {live.worker}, to free one"


def _moves(live: JobExplanation) -> str:
    if live.moves_in_seconds is None:
        return ""
    if live.moves_in_seconds <= 0:
        return ", and moves to another one now"
    return f", and moves to another one in {seconds(live.moves_in_seconds)}"


_HELD_BY_WORK = (
    WaitReason.SESSION_WORKER,
    WaitReason.ROWS_BUSY,
    WaitReason.SLOTS_BUSY,
    WaitReason.TENANT_SHARE,
    WaitReason.FETCH,
    WaitReason.NEXT_PLAN,
)


def _overdue(live: JobExplanation) -> str:
    """When waiting itself moves the job on; without a worker it never does."""
    left = live.overdue_in_seconds
    if left is None or live.reason not in _HELD_BY_WORK:
        return ""
    if left <= 0:
        return f"; it is overdue by {seconds(-left)} and goes before warm work"
    return f"; overdue in {seconds(left)}"


def _handed_over(found: Evidence) -> str:
    live, decision = found.live, found.decision
    assert live is not None, "the state says so"
    if decision is None or decision.worker != live.worker:
        return f"is at worker {live.worker}; no audit record says why"
    since = seconds(found.now - decision.at)
    because = f"because {why(decision)}{_chosen(decision)}"
    return f"is at worker {live.worker}{_attempt(decision.attempt)} since {since}, {because}"


def _scheduled(found: Evidence) -> str:
    schedule = found.schedule
    assert schedule is not None, "the state says so"
    if schedule.at is None:
        when = "at a time that cannot be read"
    elif schedule.at <= found.now:
        when = "now: its time has come, and no dispatcher has taken it yet"
    else:
        at = datetime.fromtimestamp(schedule.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        when = f"in {seconds(schedule.at - found.now)}, at {at}"
    if schedule.attempt == 1:
        return f"is delayed and runs {when}"
    last = schedule.failure
    why_failed = f" at worker {last.worker} ({last.code}: {last.message})" if last is not None else ""
    return f"failed attempt {schedule.attempt - 1}{why_failed} and runs again {when}"


def _given_out(found: Evidence) -> str:
    last = found.records[-1]
    ago = f"{seconds(found.now - last.at)} ago"
    again = f"it comes again when its lease runs out, within {seconds(found.ack_wait_seconds)}"
    if found.returned is not None:
        return f"came back from worker {last.worker} {ago} ({found.returned.reason}); {again}"
    if last.worker in found.workers:
        return f"was given to worker {last.worker} {ago}, which is alive, and has no result yet"
    return f"was given to worker {last.worker} {ago}, which is not alive any more; {again}"


def _queued(found: Evidence) -> str:
    queued = found.queued
    assert queued is not None, "the state says so"
    waits = f"has waited {seconds(found.now - queued.stored_at)} in lane {queued.lane}"
    if found.pause is not None:
        return f"{waits}: {_paused(told(found.pause))}"
    if not found.answers:
        return f"{waits}: no dispatcher is alive"
    return (
        f"{waits}: no dispatcher has taken it, because as many jobs as fit wait or run before it, or its "
        f"last holder is gone and the lease runs out within {seconds(found.ack_wait_seconds)}"
    )


def _unknown(found: Evidence) -> str:
    nobody = "no dispatcher has it" if found.answers else "no dispatcher is alive"
    return (
        f"of tenant {found.tenant} has left no trace: {nobody}, and there is no result, schedule or audit "
        "record; the id is wrong, another tenant's (--tenant), or older than what is kept"
    )


def _chosen(decision: DecisionRecord) -> str:
    """What there is to be said of how its adapter was chosen."""
    return f"{meant(decision.semantic, decision.rule)}{_added(decision)}"


def _attempt(attempt: int) -> str:
    return f" (attempt {attempt})" if attempt > 1 else ""


_SAYS = {
    JobState.FINISHED: _finished,
    JobState.PARKED: _parked,
    JobState.HANDED_OVER: _handed_over,
    JobState.DELAYED: _scheduled,
    JobState.RETRYING: _scheduled,
    JobState.GIVEN_OUT: _given_out,
    JobState.QUEUED: _queued,
    JobState.UNKNOWN: _unknown,
}
