"""What a quantized base model costs and does, beside bf16 and what else torch offers for it.

`python benchmarks/engine/quantization.py [model folder]`, under two minutes on one core with Gemma 3 270M.
Prints JSON: milliseconds per call, for each shape and number of tokens, of every way to multiply; then, for
whole models, the effect on logits and perplexity against fp32 and the time of a decode step. Sides of a
comparison run alternately, medians count.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lorayard_cli.bench.model_script import alternately, print_measured
from lorayard_workers.base_model import BaseModel, Precision, load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.int8_kernel import Int8Kernel, quantize_weight
from lorayard_workers.engine.kernels import make_kernel
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize

SHAPES = {"qkv": (1536, 640), "o": (640, 1024), "gate_up": (4096, 640), "down": (640, 2048)}
"""Of Gemma 3 270M's layers, [out, in]."""
HEAD = (262_144, 640)
TOKENS = (1, 4, 16, 64)
COPIES = 8
"""Of each weight, used in turn: a layer's weight is never left in the cache by its last use."""
INT4_GROUP = 32

TEXT = """
The lighthouse on the northern cape was built in 1871, after three ships had been lost on the same reef
in a single winter. Its keeper wrote down the weather four times a day, and because he was a careful man,
his books are still used by people who study how storms have changed. In spring he counted the geese that
flew over the bay; in autumn he counted them again, and the difference, he said, was what the sea had
kept. When the lamp was made electric in 1934, nobody was needed to wind the clockwork any more, and the
family moved into the town. The house stood empty for almost thirty years. Today it belongs to a small
society that repairs the roof, shows the lens to visitors on Sundays, and rents the two upper rooms to
anyone who does not mind the wind. A computer in the cellar sends temperature, pressure and wind speed to
the capital every ten minutes. Last year the society began to compare its numbers with those in the
keeper's books. The first result was that the winters are now two degrees warmer; the second, that the
keeper had hardly ever been wrong."""


def measure(folder: Path) -> dict[str, Any]:
    """All of it."""
    return {
        "kernels_ms": {name: _kernel_times(*shape, COPIES) for name, shape in SHAPES.items()},
        "head_ms": _kernel_times(*HEAD, 1),
        "model": _models(folder),
    }


def _kernel_times(out: int, width: int, copies: int) -> dict[str, dict[str, float]]:
    weights = [(torch.randn(out, width) * 0.02).bfloat16() for _ in range(copies)]
    kernels: dict[str, list[Callable[[Tensor], object]]] = {
        "bf16_prepacked": [make_kernel(w, None) for w in weights],
        "int8_ours": [Int8Kernel(w, None) for w in weights],
        "torch_weight_int8pack_mm": [_weight_only(w) for w in weights],
        "torch_weight_int4pack_mm": [_int4(w) for w in weights],
    }
    del weights
    found: dict[str, dict[str, float]] = {}
    for tokens in TOKENS if copies > 1 else TOKENS[:3]:
        x = torch.randn(tokens, width).bfloat16()
        sides = {name: _all_of(calls, x) for name, calls in kernels.items()}
        times = alternately(sides, 3)
        found[str(tokens)] = {name: round(ms / copies, 3) for name, ms in times.items()}
    return found


def _all_of(calls: list[Callable[[Tensor], object]], x: Tensor) -> Callable[[], object]:
    return lambda: [call(x) for call in calls]


def _weight_only(weight: Tensor) -> Callable[[Tensor], object]:
    rounded, scales = quantize_weight(weight)
    narrow = scales.bfloat16()
    return lambda x: torch.ops.aten._weight_int8pack_mm(x, rounded, narrow)


def _int4(weight: Tensor) -> Callable[[Tensor], object]:
    levels, scale, low = _int4_parts(weight)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels.view(weight.shape).int(), 1)
    both = torch.stack([scale, low + 8 * scale], -1)[:, :, 0].transpose(0, 1).contiguous().bfloat16()
    return lambda x: torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, INT4_GROUP, both)


def _int4_parts(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Levels 0..15 [out, groups, group], and each group's scale and lowest value [out, groups, 1]."""
    wide = weight.float().view(len(weight), -1, INT4_GROUP)
    low, high = wide.amin(-1, keepdim=True), wide.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp_(min=1e-9)
    return ((wide - low) / scale).round_().clamp_(0, 15), scale, low


def _models(folder: Path) -> dict[str, Any]:
    """Effect of each way on the logits of `TEXT`, and the decode step of what the engine offers."""
    base = load_base_model(folder, precision=Precision.FP32)
    ids = base.prompt_ids(" ".join(TEXT.split()))
    wanted = _stock_logits(base, ids)
    int4 = _effect(_stock_logits(_with_int4(base), ids), wanted, ids)
    del base
    gc.collect()
    runners = {name: _runner(folder, BaseQuantization(name)) for name in ("none", "int8")}
    effects = {name: _effect(_logits(runner, ids), wanted, ids) for name, runner in runners.items()}
    steps = {rows: _decode_times(runners, rows) for rows in (1, 16)}
    return {
        "tokens": len(ids),
        "fp32_perplexity": round(_perplexity(wanted, ids), 3),
        "against_fp32": {"bf16": effects["none"], "bf16_int8": effects["int8"], "fp32_int4_layers": int4},
        "decode_step_ms": steps,
        "prefill_256_ms": alternately({n: _prefill(r, ids) for n, r in runners.items()}, 3),
    }


def _with_int4(base: BaseModel) -> BaseModel:
    for layer in base.model.model.layers:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                levels, scale, low = _int4_parts(module.weight)
                module.weight.data = (levels * scale + low).view_as(module.weight)
    return base


def _stock_logits(base: BaseModel, ids: list[int]) -> Tensor:
    found: Tensor = base.model(torch.tensor([ids]), use_cache=False).logits[0]
    return found


def _runner(folder: Path, quantization: BaseQuantization) -> ModelRunner:
    base = load_base_model(folder, quantization=quantization)
    runner = ModelRunner(base, RunnerSize(columns=8, rows=16, row_tokens=512))
    runner.cache.clear(range(runner.cache.blocks + 1))
    return runner


def _piece(row: int, start: int, ids: list[int]) -> Piece:
    blocks = range(1 + 8 * row, 9 + 8 * row)  # 512 tokens
    place = Place(blocks=blocks, start=start, tokens=len(ids))
    return Piece(place=place, token_ids=ids, columns=None, wants_logits=True)


def _logits(runner: ModelRunner, ids: list[int]) -> Tensor:
    """Of every position: one step each, as the engine only computes those that it needs."""
    return torch.cat([runner.forward([_piece(0, i, [token])]) for i, token in enumerate(ids)]).float()


def _effect(found: Tensor, wanted: Tensor, ids: list[int]) -> dict[str, float]:
    off = (found - wanted).abs()
    return {
        "max_logit_error": round(float(off.max()), 3),
        "mean_logit_error": round(float(off.mean()), 4),
        "same_top_token": round(float((found.argmax(-1) == wanted.argmax(-1)).float().mean()), 3),
        "perplexity": round(_perplexity(found, ids), 3),
    }


def _perplexity(logits: Tensor, ids: list[int]) -> float:
    return math.exp(float(functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]))))


def _decode_times(runners: Mapping[str, ModelRunner], rows: int) -> dict[str, float]:
    def step(runner: ModelRunner) -> Callable[[], object]:
        return lambda: runner.forward([_piece(row, 64, [7]) for row in range(rows)])

    for runner in runners.values():
        runner.forward([_piece(row, 0, [5] * 64) for row in range(rows)])
    return alternately({name: step(runner) for name, runner in runners.items()}, 7)


def _prefill(runner: ModelRunner, ids: list[int]) -> Callable[[], object]:
    return lambda: runner.forward([_piece(0, 0, (ids * 2)[:256])])


if __name__ == "__main__":
    print_measured("quantization", __doc__, measure)
