"""What slots cost in memory while a random mix of ranks comes and goes. Exact: nothing is timed."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from queue import SimpleQueue
from random import Random

import torch

from lorayard_cli.bench.engine_report.figure import SlotMemory
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_RANKS = (8, 16, 64)
_ADAPTERS = 48
_ROWS = 4
"""Fewer than slots: most residents are idle, so what stays is the engine's choice."""
_OUTCOME_SECONDS = 60.0
"""Only a hang waits this long."""


def measure_memory(requests: int, *, seed: int = 8) -> SlotMemory:
    """An engine of default slots under random requests; the ratio is the same for every model's shapes."""
    random = Random(seed)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        folders, own_bytes = _adapters(Path(scratch), random)
        config = EngineConfig(rows=_ROWS, context_tokens=64, device="cpu", json_schemas=False)
        engine = PackedEngine(make_tiny_model(Path(scratch) / "model"), folders, config)
        engine.start()
        try:
            ratios = _drive(engine, own_bytes, [random.choice(list(folders)) for _ in range(requests)])
            residency = engine.residency()
        finally:
            engine.stop()
        engine.check()
    return SlotMemory(
        slots=config.slots,
        max_rank=config.max_rank,
        adapters=_ADAPTERS,
        reserved_bytes=residency.slot_bytes,
        evictions=residency.evictions,
        ratios=tuple(ratios),
    )


def _adapters(scratch: Path, random: Random) -> tuple[dict[str, Path], dict[str, int]]:
    """Folders and the bytes of their own weights in the engine's precision, by digest."""
    folders: dict[str, Path] = {}
    own_bytes: dict[str, int] = {}
    for seed in range(_ADAPTERS):
        folder = make_tiny_adapter(scratch / str(seed), seed=seed, rank=random.choice(_RANKS))
        read = read_adapter(folder)
        digest = adapter_digest(read)
        weights = sum(math.prod(pair.a.shape) + math.prod(pair.b.shape) for pair in read.pairs.values())
        folders[digest], own_bytes[digest] = folder, weights * torch.bfloat16.itemsize
    return folders, own_bytes


def _drive(engine: PackedEngine, own_bytes: dict[str, int], digests: list[str]) -> list[float]:
    """After each answer reserved bytes ÷ the residents' own, from the first eviction on."""
    ended: SimpleQueue[Outcome] = SimpleQueue()
    ratios: list[float] = []
    for number, digest in enumerate(digests):
        request = GenerationRequest(
            request_id=str(number), prompt="a", adapter=digest, sampling=Sampling(max_new_tokens=2)
        )
        engine.submit(request, ended.put)
        if number < _ROWS:
            continue
        outcome = ended.get(timeout=_OUTCOME_SECONDS)
        if not isinstance(outcome, Succeeded):
            raise SideFaultError(f"engine: {outcome}")
        residency = engine.residency()
        if residency.evictions:
            ratios.append(residency.slot_bytes / sum(own_bytes[slot.digest] for slot in residency.slots))
    for _ in range(min(_ROWS, len(digests))):
        ended.get(timeout=_OUTCOME_SECONDS)
    return ratios
