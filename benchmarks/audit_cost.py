"""What audit records cost: jobs per second and processor time with them, without outcomes, and without any.

The bus path of `lorayard bench bus`, on three yards that stand side by side and take turns, each round in
another order: one keeps all records, in one its workers do not tell how jobs end, and one keeps none. The
processor time of a process hardly moves on a busy machine; the rate does. It prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from lorayard_cli.bench.bus import Kept, WarmYard, warm_yard
from lorayard_cli.bench.figures import as_map, spread, surroundings
from lorayard_cli.bench.processor_time import microseconds_each

ROUNDS: Final = 9
QUICK_ROUNDS: Final = 2
JOBS: Final = 4000
"""A clock of 10 ms tells microseconds of so many."""
QUICK_JOBS: Final = 500


@dataclass(slots=True)
class Seen:
    """Of one yard, round by round."""

    rates: list[float] = field(default_factory=list[float])
    microseconds: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    """Of a job, by process."""


async def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    quick = "--quick" in arguments
    rounds, jobs = (QUICK_ROUNDS, QUICK_JOBS) if quick else (ROUNDS, JOBS)
    seen = {kept: Seen() for kept in Kept}
    async with AsyncExitStack() as held:
        yards = {kept: await held.enter_async_context(warm_yard(kept=kept)) for kept in Kept}
        for number in range(rounds):
            turn = [list(Kept)[(number + place) % len(Kept)] for place in range(len(Kept))]
            for kept in turn:
                await _round(yards[kept], seen[kept], jobs)
            rates = ", ".join(f"{kept} {seen[kept].rates[-1]:,.0f}" for kept in Kept)
            sys.stderr.write(f"round {number + 1}/{rounds}, jobs/s: {rates}\n")
    sys.stdout.write(json.dumps({"bench": "audit", "jobs": jobs, **figures(seen), **surroundings()}) + "\n")
    return 0


async def _round(yard: WarmYard, seen: Seen, jobs: int) -> None:
    before = yard.processor_seconds()
    seen.rates.append(await yard.jobs_per_second(jobs))
    seen.microseconds.append(by_part(microseconds_each(before, yard.processor_seconds(), jobs)))


def by_part(microseconds: Mapping[str, float]) -> dict[str, float]:
    """The workers together, and all."""
    workers = [name for name in microseconds if name.startswith("w")]
    parts = {name: spent for name, spent in microseconds.items() if name not in workers}
    parts["workers"] = sum(microseconds[name] for name in workers)
    return {**parts, "all": sum(microseconds.values())}


def figures(seen: Mapping[Kept, Seen]) -> dict[str, Any]:
    """By yard, and how each is beside another, from the same round."""
    bare = seen[Kept.NONE]
    return {
        "rounds": len(bare.rates),
        "yards": {kept.value: _alone(one) for kept, one in seen.items()},
        "beside": {
            "decisions": _beside(seen[Kept.NO_OUTCOMES], bare),
            "outcomes": _beside(seen[Kept.ALL], seen[Kept.NO_OUTCOMES]),
            "both": _beside(seen[Kept.ALL], bare),
        },
    }


def _alone(one: Seen) -> dict[str, Any]:
    spent = {
        part: as_map(spread([each[part] for each in one.microseconds]), 0) for part in one.microseconds[0]
    }
    return {"jobs_per_second": as_map(spread(one.rates), 0), "processor_us_per_job": spent}


def _beside(one: Seen, other: Seen) -> dict[str, Any]:
    rounds = list(zip(one.microseconds, other.microseconds, strict=True))
    more = {part: spread([a[part] - b[part] for a, b in rounds]) for part in one.microseconds[0]}
    ratio = spread([rate / without for rate, without in zip(one.rates, other.rates, strict=True)])
    return {"ratio": as_map(ratio), "more_us_per_job": {part: as_map(each, 0) for part, each in more.items()}}


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
