"""When a job is better told at once that it waits in vain: pure decisions, the clock given.

By its deadline: jobs of its own tenant, adapter and lane that become overdue before it does go first
whatever else the planner does, so their number over the pace of the adapter is the least that it waits. The
pace counts while the adapter's jobs queue without a break: then it is what workers can do, and not what was
asked for.

By the lane: where a lane has more jobs than its bound, lanes below it take no more; the lane itself takes no
more when nothing waits below it, or from twice its bound on.
"""

from __future__ import annotations

from collections.abc import Sequence

SURE_SECONDS = 5.0
SURE_JOBS = 20
"""A pace seen for less, or of fewer jobs, is chance."""

QUIET_SECONDS = 10.0
"""After the last hand-over: then something else is the matter, a pause say, and may be over at any moment."""

MEMORY_SECONDS = 60.0
"""Then what was counted counts half: workers come and go."""

SURE_FACTOR = 1.5
"""The least wait must be so many times what is left until the deadline: a wrong refusal is worse than a wait
in vain, and a pace may be off by a third when another worker has just come."""

TWICE = 2


class Pace:
    """How fast jobs of one adapter are given to workers while more of them wait. Monotonic seconds."""

    __slots__ = ("began_at", "last_at", "served")

    def __init__(self, now: float) -> None:
        self.began_at = self.last_at = now
        self.served = 0.0

    def serve(self, jobs: int, now: float) -> None:
        """So many more were given out."""
        self.served += jobs
        self.last_at = now
        passed = now - self.began_at
        if passed > MEMORY_SECONDS:
            self.served /= 2.0
            self.began_at = now - passed / 2.0

    def wait_seconds(self, ahead: int, now: float) -> float | None:
        """The least that a job behind so many waits; None: nobody can tell yet."""
        passed = now - self.began_at
        if passed < SURE_SECONDS or self.served < SURE_JOBS or now - self.last_at > QUIET_SECONDS:
            return None
        return ahead * passed / self.served


def is_hopeless(wait_seconds: float | None, left_seconds: float) -> bool:
    """Whether a job with so much time left will surely not be done in time."""
    return wait_seconds is not None and wait_seconds > SURE_FACTOR * left_seconds


def sheds_lane(lane: int, waiting: Sequence[int], bounds: Sequence[int | None]) -> int | None:
    """The lane whose queue is too long, where jobs of this lane are to be refused for it; the most urgent is
    0."""
    for other in range(lane):
        if _is_over(other, waiting, bounds):
            return other
    if not _is_over(lane, waiting, bounds):
        return None
    below = any(waiting[lane + 1 :])
    bound = bounds[lane]
    assert bound is not None, "else it is not over"
    return lane if not below or waiting[lane] >= TWICE * bound else None


def _is_over(lane: int, waiting: Sequence[int], bounds: Sequence[int | None]) -> bool:
    bound = bounds[lane]
    return bound is not None and waiting[lane] >= bound
