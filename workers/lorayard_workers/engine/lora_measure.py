"""Measures at start what the forms of the multi-LoRA product cost here, and keeps the answer on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
import torch
from pydantic import TypeAdapter, ValidationError

from lorayard_shared.logs import Event
from lorayard_workers.engine.groups import LoraGroup
from lorayard_workers.engine.lora_costs import USUAL_COSTS, Corners, LoraCosts
from lorayard_workers.engine.lora_plan import LoraPlan, Run, dense_for, plan_runs

_log = structlog.stdlib.get_logger(__name__)

RANK = 16
"""Of the adapters measured with: the cost follows the columns, hardly how they are shared out."""
WIDE_COLUMNS = 128
"""Far enough from `RANK` to see the slope."""
GROUPS = 24
"""Six layers of four groups each, as a sample of a deep model: a third of a second in all for 270M."""
MANY_PADDED = 64
"""Tokens of a step of 16 rows whose busiest adapter has half of them."""
REPEATS = 3
"""The least of three: what else runs on the machine only ever adds."""

_COSTS = TypeAdapter(LoraCosts)


def kept_costs(groups: Sequence[LoraGroup], folder: Path) -> LoraCosts:
    """The costs from `folder` if this machine has measured them before, else measured now and kept there.

    A file that cannot be read is measured anew; a folder that cannot be written only costs the time again.
    """
    path = folder / f"{_key(groups)}.json"
    try:
        return _COSTS.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        costs = measure_costs(groups)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(_COSTS.dump_json(costs))
        part.replace(path)
    except OSError as error:
        _log.warning(Event.LORA_COSTS_NOT_KEPT, path=str(path), reason=str(error))
    return costs


def measure_costs(groups: Sequence[LoraGroup]) -> LoraCosts:
    """A pass through some layers for each corner; `USUAL_COSTS` where the slots are too small to tell."""
    groups = groups[:GROUPS]
    wide = min(WIDE_COLUMNS, groups[0].columns // RANK * RANK)
    if wide <= RANK:
        return USUAL_COSTS
    device = groups[0].device

    def dense(tokens: int, columns: int) -> LoraPlan:
        adapters = [tuple(range(first, first + RANK)) for first in range(0, columns, RANK)]
        uses = [adapters[token * len(adapters) // tokens] for token in range(tokens)]
        return LoraPlan(dense=dense_for(uses, columns, device))

    def bundle(padded: int, columns: int) -> LoraPlan:
        adapters = columns // RANK
        most = max(1, padded // adapters)
        uneven = most > 1 and padded == MANY_PADDED  # as random rows are: what is padded is gathered
        counts = [most] + [1 if uneven else most] * (adapters - 1)
        return LoraPlan(bundles=plan_runs([Run(rank=RANK, first=0, counts=counts)], device))

    costs = LoraCosts(
        dense=_corners(groups, dense, tokens=(2, 16), columns=(RANK, wide)),
        bundle=_corners(groups, bundle, tokens=(16, MANY_PADDED), columns=(RANK, wide)),
    )
    _log.info(Event.LORA_COSTS_MEASURED, dense=costs.dense.many_many, bundle=costs.bundle.many_many)
    return costs


def _corners(
    groups: Sequence[LoraGroup],
    plan: Callable[[int, int], LoraPlan],
    *,
    tokens: tuple[int, int],
    columns: tuple[int, int],
) -> Corners:
    def cost(row: int, column: int) -> float:
        return _milliseconds(groups, plan(tokens[row], columns[column]))

    return Corners(
        tokens=tokens,
        columns=columns,
        few_few=cost(0, 0),
        few_many=cost(0, 1),
        many_few=cost(1, 0),
        many_many=cost(1, 1),
    )


def _milliseconds(groups: Sequence[LoraGroup], plan: LoraPlan) -> float:
    """Through many groups, so that no weight is still in a CPU cache from the time before."""
    count = plan.tokens
    work = [
        (
            group,
            torch.zeros(count, group.width, dtype=group.dtype, device=group.device),
            torch.ones(count, group.in_features, dtype=group.dtype, device=group.device),
        )
        for group in groups
    ]
    times: list[float] = []
    for _ in range(REPEATS):
        _wait(groups[0].device)
        started = time.perf_counter()
        for group, y, x in work:
            group.add(y, x, plan)
        _wait(groups[0].device)
        times.append((time.perf_counter() - started) * 1000)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _key(groups: Sequence[LoraGroup]) -> str:
    device = groups[0].device
    facts = {
        "shapes": [(group.in_features, group.width, group.columns) for group in groups],
        "dtype": str(groups[0].dtype),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
        "machine": f"{platform.node()} {platform.machine()} {os.cpu_count()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "measure": [RANK, WIDE_COLUMNS, GROUPS, 2],  # the last number rises when what is measured changes
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
