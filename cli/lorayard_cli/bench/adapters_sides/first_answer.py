"""From a folder to the first answer of a version that no worker has ever seen, on workers that run."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from lorayard_cli.bench.adapters_sides.yard import LiveYard
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import spread
from lorayard_workers.tiny_model import make_tiny_adapter

NAME: Final = "acme/tiny/fresh"
PROMPT: Final = "Tell me of the yard."
TOKENS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Seconds of one version."""

    push: float
    validate: float
    """A worker fetches, loads and tries it."""
    activate: float
    answer: float
    """From submitting a job that names it to its result."""

    @property
    def whole(self) -> float:
        """All of them."""
        return self.push + self.validate + self.activate + self.answer


async def first_answer_figures(yard: LiveYard, versions: int) -> dict[str, Figure]:
    """Figures by the key of their goal."""
    # The first of a process finds every path cold: it is no version of a yard that runs.
    seen = [await _one(yard, number) for number in range(versions + 1)]
    return figures(seen[1:])


def figures(seen: Sequence[Steps]) -> dict[str, Figure]:
    """The whole is judged, its parts are told."""
    parts: Mapping[str, list[float]] = {
        "push": [one.push for one in seen],
        "validate": [one.validate for one in seen],
        "activate": [one.activate for one in seen],
        "answer": [one.answer for one in seen],
    }
    told = ", ".join(f"{name} {median(values) * 1000:.0f}" for name, values in parts.items())
    whole = Figure(value=spread([one.whole for one in seen]), note=f"milliseconds on the median: {told}")
    steps = {
        ("first_answer_only" if name == "answer" else f"first_{name}"): Figure(value=spread(values))
        for name, values in parts.items()
    }
    return {"first_answer": whole, **steps}


async def _one(yard: LiveYard, number: int) -> Steps:
    folder = yard.folder / "fresh" / str(number)
    await asyncio.to_thread(make_tiny_adapter, folder, seed=1000 + number)
    label, adapters = f"{NAME}@{number + 1}", yard.client.adapters
    moments = [time.perf_counter()]
    await adapters.push(folder, name=NAME, version=str(number + 1))
    moments.append(time.perf_counter())
    await adapters.validate(label)
    moments.append(time.perf_counter())
    await adapters.activate(label)
    moments.append(time.perf_counter())
    result = await yard.client.generate(PROMPT, adapter=label, max_new_tokens=TOKENS)
    moments.append(time.perf_counter())
    assert result.version == str(number + 1), "the job has named it"
    push, validate, activate, answer = (later - before for before, later in itertools.pairwise(moments))
    return Steps(push=push, validate=validate, activate=activate, answer=answer)
