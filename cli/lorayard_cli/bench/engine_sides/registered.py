"""What it costs that a thousand adapters are registered, and not eight."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from random import Random

from lorayard_cli.bench.engine_report.costs import Timed, Times
from lorayard_cli.bench.engine_sides.many_adapters import (
    CONTEXT_TOKENS,
    HOST_BYTES,
    MAX_RANK,
    NEW_TOKENS,
    PROMPT_TOKENS,
    RANK,
    ask_of,
    fill_host,
    make_many,
)
from lorayard_cli.bench.engine_sides.model import BenchModel
from lorayard_cli.bench.engine_sides.modes import without_prefix_reuse
from lorayard_cli.bench.engine_sides.serving import ServingSide
from lorayard_cli.bench.engine_sides.traffic import Traffic
from lorayard_workers.engine.config import EngineConfig

SLOTS = 8
ROWS = 8
"""As many as slots: rows of distinct adapters can then always run side by side, and what is measured is the
cost of many adapters, not that of a batch which slots cut short."""

_WARM_UP = -1
"""The seed of draws that no round has."""


def time_registered(
    model: BenchModel, scratch: Path, times: Times, *, adapters: int, requests: int, rounds: Iterable[int]
) -> None:
    """The same requests over 8 adapters and over a thousand, in turn; all of them in host memory."""
    folders = make_many(model.folder, scratch, adapters)
    config = EngineConfig(
        slots=SLOTS,
        max_rank=MAX_RANK,
        rows=ROWS,
        context_tokens=CONTEXT_TOKENS,
        host_bytes=HOST_BYTES,
        device="cpu",
        json_schemas=False,
    )
    config = without_prefix_reuse(config)
    with (
        ServingSide(model.folder, folders[:SLOTS], config) as few,
        ServingSide(model.folder, folders, config) as many,
    ):
        for side in (few, many):
            fill_host(side)
            side.answer(_zipf_traffic(side, ROWS, seed=_WARM_UP).asks)
        before = many.engine.residency().slot_loads
        for number in rounds:
            times.add(Timed.REGISTERED8, few.run(_zipf_traffic(few, requests, seed=number)))
            times.add(Timed.REGISTERED1000, many.run(_zipf_traffic(many, requests, seed=number)))
        copies = (many.engine.residency().slot_loads - before) / (
            requests * len(times.costs[Timed.REGISTERED1000])
        )
    times.tell(
        Timed.REGISTERED1000,
        f"{model.name}, {requests} requests of {PROMPT_TOKENS} tokens and {NEW_TOKENS} new ones a round, "
        f"{ROWS} rows on {SLOTS} slots; an adapter was copied into a slot for {copies:.0%} of the requests "
        f"among {adapters:,}",
    )


def _zipf_traffic(side: ServingSide, requests: int, *, seed: int) -> Traffic:
    """The k-th adapter is asked for 1/k as often as the first; the same draws whatever their number."""
    random = Random(seed)
    weights = list(accumulate(1 / rank for rank in range(1, len(side.digests) + 1)))
    asks = (
        ask_of(side, bisect(weights, random.random() * weights[-1]), number) for number in range(requests)
    )
    return Traffic(name="zipf", adapters=len(side.digests), rank=RANK, asks=tuple(asks))
