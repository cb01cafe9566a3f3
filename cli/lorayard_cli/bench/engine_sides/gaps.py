"""How long running rows wait for a token while adapters come from disk.

Eight rows decode; every few steps a request for an adapter that is on disk only arrives: the loader reads,
checks and packs it, the engine copies it into a slot and starts its row. Its prompt is a word and its answer
one token, so that a longer step is the load's doing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.serving import OUTCOME_SECONDS, ServingSide, request_of
from lorayard_cli.bench.engine_sides.traffic import Ask, make_prompt
from lorayard_cli.bench.figures import percentile, spread
from lorayard_workers.engine.outcome import Outcome, Succeeded, TokenChunk

ROWS = 8
LOADS = 3
"""Adapters that come from disk in a round."""
_STEPS_BETWEEN = 6
"""A load takes about three, so each has steps of its own."""
_STEPS = _STEPS_BETWEEN * (LOADS + 1)
_PROMPT_TOKENS = 24


@dataclass(slots=True)
class _Round:
    """What was seen of the running rows."""

    moments: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Of the tokens of each row."""
    loads: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From the request for a cold adapter to its answer."""

    def take(self, chunk: TokenChunk) -> None:
        """On the engine's thread: the tokens of a step."""
        self.moments.setdefault(chunk.request_id, []).append(time.perf_counter())

    def gaps(self, *, while_loading: bool) -> list[float]:
        """Milliseconds between tokens of a row, within a load or outside of all."""
        begun = max(found[0] for found in self.moments.values())  # no row takes in its prompt any longer
        pairs = (pair for found in self.moments.values() for pair in pairwise(found) if pair[0] >= begun)
        return [(b - a) * 1000 for a, b in pairs if self._loads_within(a, b) is while_loading]

    def _loads_within(self, began: float, ended: float) -> bool:
        return any(asked < ended and answered > began for asked, answered in self.loads)


@dataclass(slots=True)
class _Ratios:
    """Round by round, to the median step."""

    longest: list[float] = field(default_factory=list[float])
    slow: list[float] = field(default_factory=list[float])
    quiet: list[float] = field(default_factory=list[float])
    medians_ms: list[float] = field(default_factory=list[float])

    def add(self, seen: _Round) -> None:
        """A round's."""
        loading, quiet = seen.gaps(while_loading=True), seen.gaps(while_loading=False)
        if not loading or not quiet:
            raise SideFaultError(f"engine: {len(loading)} steps while adapters loaded, {len(quiet)} without")
        median = percentile([*loading, *quiet], 0.5)
        self.medians_ms.append(round(median, 2))
        self.longest.append(max(loading) / median)
        self.slow.append(percentile(loading, 0.95) / median)
        self.quiet.append(max(quiet) / median)

    def figure(self) -> Figure:
        """The longest is judged; the rest says what a load does to most steps, and what the machine does."""
        slow, quiet = spread(self.slow), spread(self.quiet)
        return Figure(
            value=spread(self.longest),
            note=f"{ROWS} rows, {LOADS} adapters from disk a round; 95th percentile {slow.median:.2f}; "
            f"longest gap while nothing loads {quiet.median:.2f}",
            facts={
                "median_step_ms": self.medians_ms,
                "longest": [round(ratio, 3) for ratio in self.longest],
                "p95": [round(ratio, 3) for ratio in self.slow],
                "longest_without_loads": [round(ratio, 3) for ratio in self.quiet],
            },
        )


def measure_gaps(side: ServingSide, cold: Sequence[str], *, rounds: Iterable[int]) -> Figure:
    """On a running engine whose first 8 adapters are warm; `cold` are digests that it has never read."""
    ratios, left = _Ratios(), list(cold)
    for _ in rounds:
        ratios.add(_one_round(side, [left.pop() for _ in range(LOADS)]))
    return ratios.figure()


def forget_files(folder: Path) -> None:
    """Out of the system's page cache, so that a read goes to the disk."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _one_round(side: ServingSide, cold: Sequence[str]) -> _Round:
    seen, ended = _Round(), SimpleQueue[Outcome]()
    ticks: SimpleQueue[None] = SimpleQueue()

    def tick(chunk: TokenChunk) -> None:
        seen.take(chunk)
        ticks.put(None)

    for row in range(ROWS):
        ask = replace(_ask(side, _PROMPT_TOKENS, seed=row), new_tokens=_STEPS)
        request = request_of(ask, str(row), side.digests[row])
        side.engine.submit(request, ended.put, tick if row == 0 else seen.take)
    for number, digest in enumerate(cold):
        for _ in range(_STEPS_BETWEEN):
            ticks.get(timeout=OUTCOME_SECONDS)
        seen.loads.append(_load(side, digest, f"cold-{number}"))
    _all_succeeded([ended.get(timeout=OUTCOME_SECONDS) for _ in range(ROWS)])
    return seen


def _load(side: ServingSide, digest: str, name: str) -> tuple[float, float]:
    ended: SimpleQueue[Outcome] = SimpleQueue()
    asked = time.perf_counter()
    side.engine.submit(request_of(_ask(side, 2, seed=0), name, digest), ended.put)
    _all_succeeded([ended.get(timeout=OUTCOME_SECONDS)])
    return asked, time.perf_counter()


def _ask(side: ServingSide, tokens: int, *, seed: int) -> Ask:
    return Ask(prompt=make_prompt(side.tokenizer, tokens, seed=seed), ids=(), adapter=0, new_tokens=1)


def _all_succeeded(outcomes: Sequence[Outcome]) -> None:
    broken = [outcome for outcome in outcomes if not isinstance(outcome, Succeeded)]
    if broken:
        raise SideFaultError(f"engine: {broken[:3]}")
