"""What happened to one job, step by step, out of what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import DecisionRecord, ReturnRecord
from lorayard_schemas.result import JobResult
from lorayard_shared.explaining.decisions import PLACES, seconds, why
from lorayard_shared.explaining.evidence import Evidence, JobState
from lorayard_shared.explaining.sentences import sentence
from lorayard_shared.value import value


class StepKind(StrEnum):
    """What a step is about."""

    PUBLISHED = "published"
    ASSIGNED = "assigned"
    """A dispatcher gave it to a worker, and why."""
    RETURNED = "returned"
    """The worker did not take it."""
    STARTED = "started"
    """Its row began."""
    FIRST_TOKEN = "first_token"
    FAILED = "failed"
    """An attempt did."""
    WAITS = "waits"
    """That is how it stands now."""
    DUE = "due"
    """It will be let go."""
    ENDED = "ended"


@value
class Step:
    """One of them."""

    kind: StepKind
    at: float
    """Unix seconds. Of processes on several machines: their clocks may differ a little."""
    text: str
    """For people."""
    worker: str | None = None
    attempt: int = 1


def timeline(found: Evidence) -> tuple[Step, ...]:
    """The steps, the oldest first; nothing of a job that has left no trace."""
    steps = [*_published(found), *_records(found), *_failed(found), *_run(found), *_now(found)]
    order = tuple(StepKind)
    # Clocks of several machines: what comes after another thing is never shown before it for that.
    return tuple(sorted(steps, key=lambda step: (round(step.at, 2), order.index(step.kind))))


def published_at(found: Evidence) -> float | None:
    """When it was published, unix seconds; None: nothing says so."""
    if (first := next((one for one in found.records if isinstance(one, DecisionRecord)), None)) is not None:
        return first.at - first.waited_ms / 1000
    if found.queued is not None:
        return found.queued.stored_at
    if found.live is not None and found.live.attempt == 1:
        return found.now - found.live.waited_seconds
    if found.result is not None and found.result.maker is not None:
        timings = found.result.timings
        return found.result.finished_at - (timings.total_ms + timings.waited_ms) / 1000
    return None


def _published(found: Evidence) -> Iterator[Step]:
    at = published_at(found)
    if at is None:
        return
    lane = next((one.lane for one in found.records if isinstance(one, DecisionRecord)), None)
    live, queued = found.live, found.queued
    lane = lane or (live.lane if live is not None else None) or (queued.lane if queued is not None else None)
    yield Step(kind=StepKind.PUBLISHED, at=at, text="published" + (f" in lane {lane}" if lane else ""))


def _records(found: Evidence) -> Iterator[Step]:
    for record in found.records:
        if isinstance(record, DecisionRecord):
            waited = seconds(record.waited_ms / 1000)
            text = f"given to worker {record.worker} after {waited}, because {why(record)}"
            kind = StepKind.ASSIGNED
        else:
            kind, text = StepKind.RETURNED, _returned(record)
        yield Step(kind=kind, at=record.at, text=text, worker=record.worker, attempt=record.attempt)


def _returned(record: ReturnRecord) -> str:
    detail = f": {record.detail}" if record.detail else ""
    return f"worker {record.worker} gave it back ({record.reason}){detail}"


def failed_attempts(found: Evidence) -> tuple[AttemptRecord, ...]:
    """As far as they are known, the oldest first."""
    if found.result is not None:
        return found.result.attempts
    failure = found.schedule.failure if found.schedule is not None else None
    return () if failure is None else (failure,)


def _failed(found: Evidence) -> Iterator[Step]:
    for one in failed_attempts(found):
        again = f"; again after {seconds(one.waited_seconds)}" if one.waited_seconds is not None else ""
        text = f"attempt {one.attempt} failed at worker {one.worker}: {one.message} ({one.code}){again}"
        yield Step(kind=StepKind.FAILED, at=one.at, text=text, worker=one.worker, attempt=one.attempt)


def _run(found: Evidence) -> Iterator[Step]:
    result = found.result
    if result is None:
        return
    maker, timings = result.maker, result.timings
    if maker is not None:
        arrived = result.finished_at - timings.total_ms / 1000
        yield Step(
            kind=StepKind.STARTED,
            at=arrived + timings.queued_ms / 1000,
            text=_started(result),
            worker=maker.worker,
            attempt=result.attempt,
        )
        if timings.first_token_ms:
            yield Step(
                kind=StepKind.FIRST_TOKEN,
                at=arrived + timings.first_token_ms / 1000,
                text=f"first token, {seconds(timings.first_token_ms / 1000)} after it came to the worker",
                worker=maker.worker,
                attempt=result.attempt,
            )
    worker = maker.worker if maker is not None else None
    text = _ended(result)
    yield Step(kind=StepKind.ENDED, at=result.finished_at, text=text, worker=worker, attempt=result.attempt)


def _started(result: JobResult) -> str:
    maker, timings = result.maker, result.timings
    assert maker is not None, "only of those that ran"
    queued = f"its row began after {seconds(timings.queued_ms / 1000)} at worker {maker.worker}"
    if not timings.load_ms:
        return queued
    place = PLACES.get(maker.tier, maker.tier)
    return f"{queued}, of which its adapter took {seconds(timings.load_ms / 1000)} from {place}"


def _ended(result: JobResult) -> str:
    if result.error is not None:
        return f"{result.state}: {result.error.message} ({result.error.code})"
    if result.maker is None:
        return f"{result.state} without running"
    usage = result.usage
    cached = f" ({usage.cached_tokens} of them known)" if usage.cached_tokens else ""
    return f"{result.state}: {usage.prompt_tokens} tokens read{cached}, {usage.completion_tokens} written"


def _now(found: Evidence) -> Iterator[Step]:
    if found.state in (JobState.FINISHED, JobState.UNKNOWN):
        return
    schedule = found.schedule
    if found.state in (JobState.DELAYED, JobState.RETRYING) and schedule is not None and schedule.at:
        yield Step(kind=StepKind.DUE, at=schedule.at, text="its time comes", attempt=schedule.attempt)
    text = sentence(found).removeprefix(f"job {found.job} ")
    yield Step(kind=StepKind.WAITS, at=found.now, text=text)
