"""Push and pull beside the bare object store: the same file, the same server, in turns.

The bare side is nats-py's `ObjectStore`, one `put` and one `get(writeinto=...)` of the weights' file, in
chunks of the size that ours are stored in. Ours reads the folder, judges it (header, shapes, every value
finite), hashes it, asks the store which parts it lacks, and registers the version; a pull compares every
digest, syncs the file to the disk and judges the folder again.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js.object_store import ObjectStore

from lorayard_cli.bench.adapters_sides.yard import LiveYard
from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import spread
from lorayard_shared.bus.object_writes import CHUNK_BYTES
from lorayard_workers.tiny_model import make_tiny_adapter

MIB: Final = 1 << 20
RAW_STORE: Final = "bench"
WEIGHTS: Final = "adapter_model.safetensors"
WIDTH: Final = 2048
RANK: Final = 16
MODULES_PER_MIB: Final = MIB // (2 * RANK * WIDTH * 4)
"""Linears of that width and rank, in float32, that make a MiB."""


@dataclass(slots=True)
class Rounds:
    """MB/s, round by round, of files of one size."""

    raw_put: list[float] = field(default_factory=list[float])
    push: list[float] = field(default_factory=list[float])
    raw_get: list[float] = field(default_factory=list[float])
    pull: list[float] = field(default_factory=list[float])
    again_seconds: list[float] = field(default_factory=list[float])
    """A new version whose bytes the store has."""


async def transfer_figures(yard: LiveYard, sizes_mib: tuple[int, ...], rounds: int) -> dict[str, Figure]:
    """Figures by the key of their goal."""
    raw = await yard.bus.js.create_object_store(RAW_STORE)
    found: dict[str, Figure] = {}
    for mib in sizes_mib:
        seen = Rounds()
        for number in range(rounds):
            await _round(yard, raw, mib, number, seen)
        found |= figures(mib, seen)
    return found


def figures(mib: int, seen: Rounds) -> Mapping[str, Figure]:
    """Ratios from neighbouring moments; the rates are told with them."""
    return {
        f"push_{mib}": _ratio(seen.push, seen.raw_put, "put"),
        f"pull_{mib}": _ratio(seen.pull, seen.raw_get, "get"),
        f"again_{mib}": Figure(value=spread([seconds * 1000 for seconds in seen.again_seconds])),
    }


def _ratio(ours: list[float], raw: list[float], verb: str) -> Figure:
    value = spread([mine / bare for mine, bare in zip(ours, raw, strict=True)])
    mine, bare = spread(ours), spread(raw)
    note = f"{mine.median:.0f} MB/s ({mine.low:.0f}-{mine.high:.0f}) beside a bare {verb}'s "
    return Figure(
        value=value,
        note=note + f"{bare.median:.0f} ({bare.low:.0f}-{bare.high:.0f})",
        facts={"mb_per_second": round(mine.median, 1), "raw_mb_per_second": round(bare.median, 1)},
    )


async def _round(yard: LiveYard, raw: ObjectStore, mib: int, number: int, seen: Rounds) -> None:
    name, place = f"acme/bench/size-{mib}", yard.folder / "transfer"
    source = await asyncio.to_thread(make_weights, place / "source", mib, seed=number)
    weights, copy = source / WEIGHTS, place / "raw"
    megabytes = weights.stat().st_size / 1e6
    adapters = yard.client.adapters
    sides = [
        (seen.raw_put, lambda: _put(raw, weights)),
        (seen.push, lambda: adapters.push(source, name=name, version=f"{number}")),
    ]
    back = [
        (seen.raw_get, lambda: _get(raw, copy)),
        (seen.pull, lambda: adapters.pull(f"{name}@{number}", place / "pulled")),
    ]
    for pair in (sides, back):
        for rates, work in pair if number % 2 == 0 else reversed(pair):
            rates.append(megabytes / await _seconds(work()))
    again = adapters.push(source, name=name, version=f"{number}-again")
    seen.again_seconds.append(await _seconds(again))
    await raw.delete(WEIGHTS)
    for version in (f"{number}", f"{number}-again"):
        await adapters.remove(f"{name}@{version}")
    await asyncio.to_thread(shutil.rmtree, place)


def make_weights(folder: Path, mib: int, *, seed: int) -> Path:
    """An adapter of so many MiB of random values."""
    shapes = {
        f"model.layers.{layer}.self_attn.q_proj": (WIDTH, WIDTH) for layer in range(mib * MODULES_PER_MIB)
    }
    return make_tiny_adapter(
        folder, seed=seed, rank=RANK, targets=("q_proj",), shapes=shapes, base_model="bench"
    )


async def _put(store: ObjectStore, path: Path) -> None:
    meta = ObjectMeta(name=WEIGHTS, options=ObjectMetaOptions(max_chunk_size=CHUNK_BYTES))
    with path.open("rb") as file:
        await store.put(WEIGHTS, file, meta=meta)


async def _get(store: ObjectStore, path: Path) -> None:
    with path.open("wb") as file:
        await store.get(WEIGHTS, writeinto=file)


async def _seconds(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
