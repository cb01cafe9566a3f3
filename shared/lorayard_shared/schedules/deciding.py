"""What is to be done about a schedule now: pure, by the clock it is given.

One occurrence at a time lies ahead on the server, which lets it go by itself, whoever lives then. All that is
decided here is which one comes next, and what becomes of those that nobody had placed in time. Occurrences
are decided on in their order and each once: a clock that is set back makes none come again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from lorayard_schemas.result import JobResult
from lorayard_schemas.schedule import (
    RUNS_KEPT,
    Ahead,
    CatchUp,
    Schedule,
    ScheduledRun,
    ScheduleState,
    occurrence_id,
)
from lorayard_shared.schedules.calendar import calendar_of

LATE_SECONDS = 60.0
"""What is late by less was not missed: whoever places it was only changed over."""

WRONG_CLOCK_SECONDS = 26 * 3600.0
"""Decided on further ahead than any change of clocks leads: the clock was wrong then, and is put right."""

MADE_UP_SECONDS = 1.0
"""From the placing of one that is made up until it is due: it stands among the runs by then."""

MOST_COUNTED = 10_000
"""Missed occurrences counted one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """An occurrence that is to be given to the server."""

    job: str
    at: float
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, in this order, and what is known then."""

    withdraw: str | None
    """A job that the server shall not let go."""
    place: tuple[Placing, ...]
    state: ScheduleState


def due_at(schedule: Schedule, at: float) -> float:
    """When the occurrence is let go: the same whoever asks."""
    if not schedule.jitter_seconds:
        return at
    drawn = hashlib.sha256(f"{schedule.tenant}\0{schedule.name}\0{at}".encode()).digest()
    return at + schedule.jitter_seconds * int.from_bytes(drawn[:6], "big") / 2**48


def decide(schedule: Schedule, state: ScheduleState, now: float) -> Decision:
    """The next step; where nothing is to be done, the state is as it was."""
    until = _decided_until(schedule, state, now)
    ahead, runs, missed = state.ahead, state.runs, 0
    if ahead is not None and ahead.due <= now:  # the server has let it go
        runs = _with(runs, [ScheduledRun(job=occurrence_id(schedule.name, ahead.at), at=ahead.at)])
        until, ahead = max(until, min(ahead.at, now)), None
    place: list[Placing] = []
    wanted: Ahead | None = None
    if not schedule.paused:
        wanted = _next(schedule, until)
        if wanted is not None and wanted.due <= now:  # nobody had placed it in time
            late = _late(schedule, until, now)
            made_up = _made_up(schedule, late, now)
            due = now + MADE_UP_SECONDS
            place = [_placing(schedule, at, due) for at in made_up if not _knows(runs, schedule, at)]
            runs = _with(runs, [_late_run(schedule, placing, now) for placing in place])
            missed = len(late) - len(made_up)
            until = late[0]
            wanted = _next(schedule, until)
    moved = ahead is not None and ahead != wanted
    if wanted is not None and wanted != ahead:
        place.append(_placing(schedule, wanted.at, wanted.due))
    return Decision(
        withdraw=occurrence_id(schedule.name, ahead.at) if ahead is not None and moved else None,
        place=tuple(place),
        state=state.model_copy(
            update={
                "until": until,
                "ahead": wanted,
                "runs": runs,
                "missed": state.missed + missed,
                "withdrawn": state.withdrawn + moved,
            }
        ),
    )


def with_results(state: ScheduleState, found: Mapping[str, JobResult]) -> ScheduleState:
    """The same, with what has become of its runs; by job id."""
    runs = tuple(run if (result := found.get(run.job)) is None else _ended(run, result) for run in state.runs)
    return state if runs == state.runs else state.model_copy(update={"runs": runs})


def with_run(state: ScheduleState, run: ScheduledRun) -> ScheduleState:
    """The same, with one more."""
    return state.model_copy(update={"runs": _with(state.runs, [run])})


def unended(state: ScheduleState) -> tuple[ScheduledRun, ...]:
    """Runs of which no result was seen yet."""
    return tuple(run for run in state.runs if run.state is None)


def upcoming(schedule: Schedule, now: float, most: int) -> list[float]:
    """When it is due next, by the cron expression."""
    found: list[float] = []
    moment = max(now, schedule.since)
    while len(found) < most and (coming := _next(schedule, moment)) is not None:
        moment = coming.at
        found.append(moment)
    return found


def _decided_until(schedule: Schedule, state: ScheduleState, now: float) -> float:
    """What a wrong clock has written counts for nothing, and the same the next time."""
    written = (state.until, schedule.since)
    believed = [moment for moment in written if 0.0 < moment <= now + WRONG_CLOCK_SECONDS]
    return max(believed, default=now if any(written) else 0.0)


def _next(schedule: Schedule, until: float) -> Ahead | None:
    # The moment of the start itself may be one.
    floor = until if schedule.start is None else max(until, schedule.start - 1e-3)
    at = calendar_of(schedule.cron, schedule.tz).after(floor)
    if at is None or (schedule.end is not None and at > schedule.end):
        return None
    return Ahead(at=at, due=due_at(schedule, at), revision=schedule.revision)


def _late(schedule: Schedule, until: float, now: float) -> list[float]:
    """Those that are due by now, the newest first."""
    calendar = calendar_of(schedule.cron, schedule.tz)
    newest = now if schedule.end is None else min(now, schedule.end)
    floor = until if schedule.start is None else max(until, schedule.start - 1e-3)
    found = takewhile(lambda at: at > floor, calendar.before(newest))
    return list(islice((at for at in found if at <= newest and due_at(schedule, at) <= now), MOST_COUNTED))


def _made_up(schedule: Schedule, late: Sequence[float], now: float) -> list[float]:
    """The oldest first."""
    most = {CatchUp.NONE: 0, CatchUp.LAST: 1, CatchUp.ALL: schedule.catch_up_most}[schedule.catch_up]
    just_now = sum(1 for at in late if due_at(schedule, at) > now - LATE_SECONDS)
    return list(reversed(late[: max(most, just_now)]))


def _placing(schedule: Schedule, at: float, due: float) -> Placing:
    return Placing(job=occurrence_id(schedule.name, at), at=at, due=due)


def _late_run(schedule: Schedule, placing: Placing, now: float) -> ScheduledRun:
    in_time = due_at(schedule, placing.at) > now - LATE_SECONDS
    return ScheduledRun(job=placing.job, at=placing.at, how="on_time" if in_time else "caught_up")


def _knows(runs: Iterable[ScheduledRun], schedule: Schedule, at: float) -> bool:
    job = occurrence_id(schedule.name, at)
    return any(run.job == job for run in runs)


def _with(runs: tuple[ScheduledRun, ...], more: Iterable[ScheduledRun]) -> tuple[ScheduledRun, ...]:
    known = {run.job for run in runs}
    return (*runs, *(run for run in more if run.job not in known))[-RUNS_KEPT:]


def _ended(run: ScheduledRun, result: JobResult) -> ScheduledRun:
    code = result.error.code if result.error is not None else None
    return run.model_copy(update={"state": result.state, "code": code, "finished_at": result.finished_at})
