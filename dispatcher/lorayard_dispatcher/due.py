"""Jobs whose time has come: delayed ones, further attempts, occurrences of a schedule.

They lay where nobody looked at them, perhaps for days: what has its result meanwhile, as it was cancelled, is
let go. That costs one question for each, and such jobs are few.
"""

from __future__ import annotations

from collections.abc import Callable

from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.taken_job import TakenJob


class Due:
    """Judges due jobs before they are taken in as all others are."""

    def __init__(
        self, answers: Answers, *, take: Callable[[TakenJob], None], spawn: Callable[..., object]
    ) -> None:
        self._answers = answers
        self._take = take
        self._spawn = spawn

    def on_job(self, job: TakenJob) -> None:
        """One whose lease is held."""
        self._spawn(self._look_at(job), f"due-{job.key}")

    async def _look_at(self, job: TakenJob) -> None:
        if not await self._answers.let_go_if_answered(job):
            self._take(job)
