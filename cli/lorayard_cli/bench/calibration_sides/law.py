"""How long a live worker's step takes, from when its rows began and ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lorayard_cli.bench.calibration_sides.seen import SeenJob


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLaw:
    """Milliseconds of one token of each row: the model's three constants."""

    step: float
    row: float
    adapter: float
    jobs: int  # that it was fitted to
    error: float  # root of the mean square of what it is off by, in parts of a job's time

    def milliseconds(self, crowd: Crowd) -> float:
        """Of one step among so many."""
        return self.step + self.row * crowd.rows + self.adapter * crowd.adapters


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A job's time per token, and who was beside it on the mean of its time."""

    milliseconds: float
    rows: float
    adapters: float


def fit_steps(jobs: Sequence[SeenJob]) -> StepLaw:
    """Least squares over jobs of few and of many rows; what comes out negative is taken as nothing.

    Raises ValueError for fewer than three jobs that wrote two tokens.
    """
    crowds = crowds_of(jobs)
    if len(crowds) < 3:
        raise ValueError("three jobs at least are needed to fit a step's time")
    # In parts of a job's time: a slow job's milliseconds count no more than a quick one's.
    told = np.array([[1.0, crowd.rows, crowd.adapters] for crowd in crowds])
    told /= np.array([[crowd.milliseconds] for crowd in crowds])
    kept = [0, 1, 2]
    while True:
        found, *_ = np.linalg.lstsq(told[:, kept], np.ones(len(crowds)), rcond=None)
        lowest = int(np.argmin(found))
        if found[lowest] > 0.0 or len(kept) == 1:
            break
        del kept[lowest]
    constants = dict(zip(kept, map(float, found), strict=True))
    off = told[:, kept] @ found - 1.0
    return StepLaw(
        step=constants.get(0, 0.0),
        row=constants.get(1, 0.0),
        adapter=constants.get(2, 0.0),
        jobs=len(crowds),
        error=float(np.sqrt(np.mean(off**2))),
    )


def at_the_pace_of(law: StepLaw, jobs: Sequence[SeenJob]) -> StepLaw:
    """The same law on a machine as fast as it was when these jobs ran: others use it too, now and then."""
    crowds = crowds_of(jobs)
    if not crowds:
        return law
    # Of sums, not a median: what a slow second costs is part of what the machine could do.
    pace = sum(crowd.milliseconds for crowd in crowds) / sum(law.milliseconds(crowd) for crowd in crowds)
    return replace(law, step=pace * law.step, row=pace * law.row, adapter=pace * law.adapter)


def crowds_of(jobs: Sequence[SeenJob]) -> Sequence[Crowd]:
    """Of every job that wrote two tokens or more."""
    return [crowd for worker in sorted({job.worker for job in jobs}) for crowd in _crowds(jobs, worker)]


def _crowds(jobs: Sequence[SeenJob], worker: str) -> Iterator[Crowd]:
    """Of one worker's jobs, from its changes in order."""
    own = [job for job in jobs if job.worker == worker and job.tokens >= 2]
    moments = sorted({moment for job in own for moment in (job.started_at, job.ended_at)})
    place = {moment: number for number, moment in enumerate(moments)}
    rows, adapters = _areas(own, moments)
    for job in own:
        begin, end, seconds = place[job.started_at], place[job.ended_at], job.ended_at - job.started_at
        if seconds > 0.0:
            yield Crowd(
                milliseconds=1000.0 * seconds / job.tokens,
                rows=(rows[end] - rows[begin]) / seconds,
                adapters=(adapters[end] - adapters[begin]) / seconds,
            )


def _areas(jobs: Sequence[SeenJob], moments: Sequence[float]) -> tuple[list[float], list[float]]:
    """Rows times seconds, and distinct adapters times seconds, up to each moment."""
    begin: dict[float, list[SeenJob]] = {}
    end: dict[float, list[SeenJob]] = {}
    for job in jobs:
        begin.setdefault(job.started_at, []).append(job)
        end.setdefault(job.ended_at, []).append(job)
    now: Counter[str] = Counter()
    rows, adapters, before = [0.0], [0.0], moments[0] if moments else 0.0
    for moment in moments:
        if moment > before:
            rows.append(rows[-1] + now.total() * (moment - before))
            adapters.append(adapters[-1] + len(now) * (moment - before))
            before = moment
        now.subtract(job.adapter for job in end.get(moment, ()))
        now.update(job.adapter for job in begin.get(moment, ()))
        now = +now
    return rows, adapters
