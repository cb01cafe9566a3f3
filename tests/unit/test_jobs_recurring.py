"""When schedules are due, and what is done about it: pure, by whatever clock is given (E4)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState
from lorayard_schemas.schedule import Ahead, Schedule, ScheduleState, occurrence_id, plan_key, state_key
from lorayard_shared.schedules.calendar import Calendar, CalendarError
from lorayard_shared.schedules.deciding import (
    LATE_SECONDS,
    WRONG_CLOCK_SECONDS,
    Decision,
    decide,
    due_at,
    unended,
    upcoming,
    with_results,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0


def plan(**given: object) -> Schedule:
    values = {"name": "digest", "tenant": "acme", "cron": "0 * * * *", "since": NOON - 1, **given}
    return Schedule.model_validate({"job": Job(id="digest", prompt="x"), **values})


def fresh() -> ScheduleState:
    return ScheduleState(name="digest", tenant="acme")


def moments(cron: str, tz: str, after: str, count: int) -> list[str]:
    calendar, zone = Calendar(cron, tz), ZoneInfo(tz)
    found: list[str] = []
    moment = datetime.fromisoformat(after).replace(tzinfo=zone).timestamp()
    for _ in range(count):
        coming = calendar.after(moment)
        assert coming is not None
        moment = coming
        found.append(datetime.fromtimestamp(moment, zone).isoformat())
    return found


def placed(decision: Decision) -> list[str]:
    return [placing.job for placing in decision.place]


# ---- the calendar


def test_a_time_that_the_clocks_skip_comes_when_they_have__e4() -> None:
    assert moments("30 2 * * *", "Europe/Zurich", "2027-03-27T12:00", 2) == [
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]


def test_a_time_that_the_clocks_show_twice_comes_once__e4() -> None:
    assert moments("30 2 * * *", "Europe/Zurich", "2027-10-30T12:00", 2) == [
        "2027-10-31T02:30:00+02:00",
        "2027-11-01T02:30:00+01:00",
    ]


def test_every_half_hour_is_every_half_hour_in_that_night_too__e4() -> None:
    calendar = Calendar("*/30 * * * *", "Europe/Zurich")
    moment = datetime(2027, 10, 30, 22, 0, tzinfo=UTC).timestamp()
    for _ in range(12):
        assert calendar.after(moment) == moment + 1800
        moment += 1800


def test_working_days_are_those_of_the_zone() -> None:
    assert moments("0 7 * * 1-5", "Asia/Tokyo", "2026-11-20T08:00", 1) == ["2026-11-23T07:00:00+09:00"]


def test_what_is_never_due_ends() -> None:

    assert upcoming(plan(cron="0 0 1 1 *", end=NOON + DAY), NOON, 3) == []


@pytest.mark.parametrize(
    ("cron", "tz", "field"),
    [
        ("", "UTC", "cron"),
        ("* * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("a b c d e", "UTC", "cron"),
        ("@reboot", "UTC", "cron"),
        ("0 7 * * *", "Mars/Olympus", "tz"),
        ("0 7 * * *", "../../etc/passwd", "tz"),
        ("0 7 * * *", "", "tz"),
    ],
)
def test_what_is_no_expression_or_zone_is_refused_by_its_field__e4(cron: str, tz: str, field: str) -> None:
    with pytest.raises(CalendarError) as error:
        Calendar(cron, tz)
    assert error.value.field == field


# ---- what is done


def test_one_occurrence_lies_ahead_at_a_time__e4() -> None:
    first = decide(plan(), fresh(), NOON - 0.5)
    assert placed(first) == ["digest-20261123T120000Z"]
    assert decide(plan(), first.state, NOON - 0.4) == Decision(withdraw=None, place=(), state=first.state)
    second = decide(plan(), first.state, NOON + 0.2)
    assert placed(second) == ["digest-20261123T130000Z"]
    assert [(run.job, run.how) for run in second.state.runs] == [("digest-20261123T120000Z", "on_time")]


def test_jitter_is_the_same_whoever_asks_and_leaves_the_id_as_it_is() -> None:
    jittered = plan(jitter_seconds=600)
    (placing,) = decide(jittered, fresh(), NOON - 0.5).place
    assert placing.job == "digest-20261123T120000Z"
    assert NOON <= placing.due < NOON + 600
    assert placing.due == due_at(jittered, NOON) != due_at(jittered, NOON + HOUR) - HOUR
    waits = decide(jittered, decide(jittered, fresh(), NOON - 0.5).state, placing.due - 0.1)
    assert (waits.place, waits.withdraw) == ((), None)


@pytest.mark.parametrize(
    ("catch_up", "made_up", "missed"), [("none", [], 5), ("last", [17], 4), ("all", [15, 16, 17], 2)]
)
def test_what_was_missed_is_made_up_as_the_plan_says__e4(
    catch_up: str, made_up: list[int], missed: int
) -> None:
    down = decide(plan(catch_up=catch_up, catch_up_most=3), fresh(), NOON - 0.5)
    # The one that lay ahead came by itself; then nobody was there from 13 to 17 o'clock.
    back = decide(plan(catch_up=catch_up, catch_up_most=3), down.state, NOON + 5.5 * HOUR)
    hours = [datetime.fromtimestamp(one.at, UTC).hour for one in back.place]
    assert hours == [*made_up, 18]
    assert back.state.missed == missed
    assert [run.how for run in back.state.runs] == ["on_time", *("caught_up" for _ in made_up)]
    assert decide(plan(catch_up=catch_up, catch_up_most=3), back.state, NOON + 5.5 * HOUR + 2).place == ()


def test_what_is_only_a_little_late_was_not_missed() -> None:
    late = decide(plan(), fresh(), NOON + LATE_SECONDS - 1)
    assert placed(late) == ["digest-20261123T120000Z", "digest-20261123T130000Z"]
    assert (late.state.missed, late.state.runs[0].how) == (0, "on_time")


def test_a_year_of_silence_is_counted_in_a_moment() -> None:
    every_minute = plan(cron="* * * * *", since=NOON - 366 * DAY, catch_up="last")
    decision = decide(every_minute, fresh(), NOON)
    assert len(decision.place) == 2 + int(LATE_SECONDS // 60) - 1
    assert decision.state.missed > 9_000


def test_a_paused_one_is_withdrawn_and_goes_on_without_making_up__e4() -> None:
    ahead = decide(plan(), fresh(), NOON - 0.5).state
    paused = decide(plan(paused=True, revision=2), ahead, NOON - 0.4)
    assert (paused.withdraw, paused.place, paused.state.ahead) == ("digest-20261123T120000Z", (), None)
    resumed = plan(revision=3, since=NOON + 2.5 * HOUR, catch_up="all")
    assert placed(decide(resumed, paused.state, NOON + 2.5 * HOUR)) == ["digest-20261123T150000Z"]


def test_a_changed_one_is_placed_anew__e4() -> None:
    ahead = decide(plan(), fresh(), NOON - 0.5).state
    changed = decide(plan(revision=2, since=NOON - 0.4), ahead, NOON - 0.4)
    assert changed.withdraw == "digest-20261123T120000Z" == placed(changed)[0]
    assert changed.state.withdrawn == 1


def test_nothing_is_due_before_its_start_and_after_its_end() -> None:
    bounded = plan(start=NOON + HOUR, end=NOON + 2 * HOUR)
    assert upcoming(bounded, NOON, 9) == [NOON + HOUR, NOON + 2 * HOUR]
    state = decide(bounded, fresh(), NOON).state
    state = decide(bounded, state, NOON + HOUR + 1).state
    over = decide(bounded, state, NOON + 2 * HOUR + 1)
    assert (over.place, over.state.ahead, len(over.state.runs)) == ((), None, 2)


def test_a_clock_that_is_set_back_makes_nothing_come_twice__e4() -> None:
    state = decide(plan(), fresh(), NOON - 0.5).state
    state = decide(plan(), state, NOON + 1).state
    for now in (NOON - HOUR, NOON - 10, NOON + 1, NOON + 30 * 60):
        again = decide(plan(), state, now)
        assert (again.place, again.withdraw) == ((), None)


def test_a_clock_that_was_far_ahead_is_got_over__e4() -> None:
    state = decide(plan(), fresh(), NOON - 0.5).state
    state = decide(plan(), state, NOON + 3 * DAY + 1).state
    back = decide(plan(), state, NOON + 600)
    assert placed(back) == ["digest-20261123T130000Z"]
    assert back.withdraw == "digest-20261126T130000Z"
    assert WRONG_CLOCK_SECONDS < 3 * DAY


def test_a_plan_that_was_written_by_a_clock_far_ahead_comes_from_now_on__e4() -> None:
    state = decide(plan(since=NOON + 30 * DAY), fresh(), NOON + 5).state
    assert state.ahead is not None
    assert state.ahead.at == NOON + HOUR
    assert decide(plan(since=NOON + 30 * DAY), state, NOON + 6).state == state


LAST = 253_402_300_799.0
DAILY = "0 0 * * *"
any_moment = st.one_of(st.just(0.0), st.just(LAST), st.floats(0.0, LAST), st.floats(NOON - DAY, NOON + DAY))


@given(
    since=any_moment,
    until=any_moment,
    ahead=st.none() | st.builds(Ahead, at=any_moment, due=any_moment, revision=st.integers(1, 2)),
    paused=st.booleans(),
    catch_up=st.sampled_from(["none", "last", "all"]),
    cron=st.just("0 0 * 11 *"),
)
# 50 years late with more occurrences than are counted: a second, so once of each kind.
@example(since=0.0, until=0.0, ahead=None, paused=False, catch_up="none", cron=DAILY)
@example(since=0.0, until=0.0, ahead=None, paused=False, catch_up="last", cron=DAILY)
@example(since=0.0, until=0.0, ahead=None, paused=False, catch_up="all", cron=DAILY)
def test_whatever_was_written_a_look_leaves_nothing_to_do_for_the_next__e4(
    since: float, until: float, ahead: Ahead | None, *, paused: bool, catch_up: str, cron: str
) -> None:
    one = plan(since=since, paused=paused, catch_up=catch_up, cron=cron)
    written = fresh().model_copy(update={"until": until, "ahead": ahead})
    first = decide(one, written, NOON + 5)
    assert decide(one, first.state, NOON + 6).state == first.state
    assert first.state.ahead is None or first.state.ahead.due > NOON + 5


@given(
    steps=st.lists(st.floats(min_value=-7200, max_value=7200), min_size=1, max_size=60),
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *"]),
    catch_up=st.sampled_from(["none", "last", "all"]),
)
def test_however_the_clock_jumps_no_occurrence_is_let_go_twice__e4(
    steps: list[float], cron: str, catch_up: str
) -> None:
    one, state, now = plan(cron=cron, catch_up=catch_up), fresh(), NOON
    waiting: dict[str, float] = {}
    gone: list[str] = []
    for step in steps:
        now += step
        for job in [job for job, due in waiting.items() if due <= now]:
            gone.append(job)
            del waiting[job]
        decision = decide(one, state, now)
        if decision.withdraw is not None:
            assert waiting.pop(decision.withdraw) > now
        for placing in decision.place:
            assert placing.job not in waiting
            waiting[placing.job] = placing.due
        state = decision.state
        assert len(waiting) <= 11
    assert len(gone) == len(set(gone))


def test_the_history_tells_what_became_of_each() -> None:
    state = decide(plan(), decide(plan(), fresh(), NOON - 0.5).state, NOON + 1).state
    (run,) = unended(state)
    error = ResultError(kind=ErrorKind.PERMANENT, code="unknown_adapter", message="none")
    failed = JobResult(
        job=run.job, tenant="acme", state=ResultState.FAILED, error=error, finished_at=NOON + 2
    )
    noted = with_results(state, {run.job: failed})
    (ended,) = noted.runs
    assert (ended.state, ended.code, ended.finished_at) == (ResultState.FAILED, "unknown_adapter", NOON + 2)
    assert unended(noted) == ()
    assert with_results(noted, {}) is noted


def test_ids_and_keys_are_told_apart() -> None:
    assert occurrence_id("a", NOON) == "a-20261123T120000Z"
    assert occurrence_id("a" * 40, NOON + 0.25, by_hand=True) == f"{'a' * 40}-now-20261123T120000250Z"
    assert plan_key("Team 1", "a") == "plan.=54eam=201.a"
    assert state_key("Team 1", "a") == "state.=54eam=201.a"
