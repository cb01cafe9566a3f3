"""Hundreds of adapters for a small random model, made in a second.

The small model flatters nothing: a step takes some milliseconds, so the books of many adapters and the copies
into slots weigh more than beside a real one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.serving import ServingSide
from lorayard_cli.bench.engine_sides.traffic import Ask, make_prompt
from lorayard_workers.tiny_model import make_tiny_adapter

RANK = 4
MAX_RANK = 8
"""What the engine pads the rank to."""
PROMPT_TOKENS, NEW_TOKENS = 32, 16
CONTEXT_TOKENS = 64
HOST_BYTES = 4 << 30
"""Holds a thousand of them."""
_SHARED_WEIGHTS = 8
"""Files of weights. Adapters that share one differ in their scale, so in memory their weights are their own;
written one by one, a thousand files would take a quarter of a minute."""
_STRENGTH = 0.05
_POLL_SECONDS = 0.02
_LOAD_SECONDS = 120.0
"""Only a hang waits this long for adapters to be in host memory."""


def make_many(model: Path, root: Path, count: int) -> list[Path]:
    """Adapters of all linears of a random model."""
    shapes = _linear_shapes(model)
    made = [
        make_tiny_adapter(
            root / str(seed), seed=seed, rank=RANK, alpha=RANK, strength=_STRENGTH, shapes=shapes
        )
        for seed in range(min(count, _SHARED_WEIGHTS))
    ]
    return [*made, *(_rescaled(root, made, number) for number in range(len(made), count))]


def fill_host(side: ServingSide) -> None:
    """Every adapter into host memory. Raises SideFaultError when one does not get there."""
    for digest in side.digests:
        side.engine.prefetch(digest)
    give_up = time.monotonic() + _LOAD_SECONDS
    while len(side.engine.residency().host) < len(side.digests):
        if time.monotonic() > give_up:
            held = len(side.engine.residency().host)
            raise SideFaultError(f"{held} of {len(side.digests)} adapters are in host memory")
        time.sleep(_POLL_SECONDS)


def ask_of(side: ServingSide, adapter: int, seed: int) -> Ask:
    """A short request."""
    prompt = make_prompt(side.tokenizer, PROMPT_TOKENS, seed=seed)
    return Ask(prompt=prompt, ids=(), adapter=adapter, new_tokens=NEW_TOKENS)


def _rescaled(root: Path, made: Sequence[Path], number: int) -> Path:
    source, folder = made[number % len(made)], root / str(number)
    folder.mkdir()
    os.link(source / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    config["lora_alpha"] = RANK * (1 + number / 1000)
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _linear_shapes(model: Path) -> Mapping[str, tuple[int, int]]:
    """Of a random Llama: every matrix within its layers."""
    opened: Any = safe_open(model / "model.safetensors", "pt")  # untyped
    with opened as file:
        shapes: dict[str, list[int]] = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # not a dict
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in shapes.items()
        if ".layers." in name and len(shape) == 2
    }
