"""From what was seen to judged rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lorayard_cli.bench.engine_report.costs import Clock, Timed, Times
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.goals import FIGURE_GOALS, TIMED_GOALS, Goal, Sense, TimedGoal
from lorayard_cli.bench.figures import Spread
from lorayard_cli.exit_codes import ExitCode

UNEXPLAINED = "neither measured nor left out for a reason: a mistake in this bench, please report it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that a run of the bench brought. A goal without times and without a figure needs a reason."""

    times: Times
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """By the key of their goal."""
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why a goal was not measured, by its key."""
    clock: Clock = Clock.CPU
    """Timed rows are judged by this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A goal and what it met; `value` is judged."""

    goal: Goal
    value: Spread
    wall: Spread | None = None
    note: str = ""
    whole: bool = True
    """Not of less work than the table asks for."""

    @property
    def holds(self) -> bool | None:
        """Whether the must is reached; None where none is set, or it is reached so far only."""
        reached = self._reaches(self.goal.must)
        return reached if self.whole or reached is False else None

    @property
    def holds_so_far(self) -> bool:
        """Reached, by less work than the table asks for: no verdict."""
        return not self.whole and self._reaches(self.goal.must) is True

    @property
    def reaches_stretch(self) -> bool | None:
        """Whether the stretch is reached; None where none is set."""
        return self._reaches(self.goal.stretch)

    def _reaches(self, limit: float | None) -> bool | None:
        if limit is None:
            return None
        if self.goal.sense is Sense.AT_LEAST:
            return self.value.median >= limit
        return self.value.median <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """A goal that this run has no figure for, and why."""

    goal: Goal
    reason: str


def judge(seen: Seen) -> tuple[Row, ...]:
    """Every goal that has a figure, in the order of the table."""
    timed = [_timed_row(seen, one) for one in TIMED_GOALS if _was_timed(seen.times, one)]
    figures = [_row(goal, seen.figures[goal.key]) for goal in FIGURE_GOALS if goal.key in seen.figures]
    return (*timed, *figures)


def not_measured(seen: Seen) -> tuple[NotMeasured, ...]:
    """Every other goal. One without a reason is told as our mistake; a run keeps its figures."""
    goals = [one.goal for one in TIMED_GOALS if not _was_timed(seen.times, one)]
    goals += [goal for goal in FIGURE_GOALS if goal.key not in seen.figures]
    return tuple(NotMeasured(goal=goal, reason=seen.reasons.get(goal.key, UNEXPLAINED)) for goal in goals)


def open_musts(seen: Seen, rows: Sequence[Row]) -> tuple[Goal, ...]:
    """Goals with a must that this run says nothing final about: not measured, or with too little work."""
    gaps = [gap.goal for gap in not_measured(seen) if gap.goal.must is not None]
    return (*gaps, *(row.goal for row in rows if row.holds_so_far))


def verdict(seen: Seen, rows: Sequence[Row]) -> bool | None:
    """False when a must is missed; None when those measured hold but others are open; True: all hold."""
    if any(row.holds is False for row in rows):
        return False
    return None if open_musts(seen, rows) else True


def exit_code(rows: Sequence[Row]) -> ExitCode:
    """Failed when a must is missed. OK also when some are open: `verdict` tells the two apart."""
    return ExitCode.FAILED if any(row.holds is False for row in rows) else ExitCode.OK


def _was_timed(times: Times, one: TimedGoal) -> bool:
    return one.above in times.costs and one.below in times.costs


def _timed_row(seen: Seen, one: TimedGoal) -> Row:
    value, wall = (seen.times.ratio(one.above, one.below, clock) for clock in (seen.clock, Clock.WALL))
    return Row(goal=one.goal, value=value, wall=wall, note=_note(seen.times, one.above, one.below))


def _note(times: Times, *kinds: Timed) -> str:
    return "; ".join(dict.fromkeys(times.notes[kind] for kind in kinds if kind in times.notes))


def _row(goal: Goal, figure: Figure) -> Row:
    return Row(goal=goal, value=figure.value, note=figure.note, whole=figure.whole)
