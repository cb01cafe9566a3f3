"""What parts of the engine cost beside the model: the table for answers by a schema, the copy of the head.

`python benchmarks/engine/footprint.py [model folder]`: half a minute on one core with Gemma 3 270M. JSON:
CPU seconds and memory of what makes a tokenizer ready for JSON schemas; CPU seconds and memory of the greedy
head's copy; for decode steps of the base model, milliseconds of all layers, of the output head and of the
greedy head in its place, and the output head's share of a step; milliseconds of products of many tokens in
bf16 and in fp32.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoTokenizer

from lorayard_cli.bench.model_script import alternately, print_measured
from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.grammar import Grammars
from lorayard_workers.engine.kernels import PackedKernel
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.engine.screened_head import ScreenedHead
from lorayard_workers.engine.self_check import probe_model

ROWS = (1, 16)
ROUNDS = 9
"""The middle one counts."""
PROMPT_TOKENS = 64
PRODUCT = (4096, 640)
"""[out, in] of Gemma 3 270M's largest linears."""
PRODUCT_TOKENS = (64, 128, 512)
BLOCKS = 2
"""Of the cache, for each row."""


def measure(folder: Path) -> dict[str, Any]:
    """All of it."""
    return {
        "model": folder.name,
        "json_schemas": _json_schemas(folder),  # before any weights are in memory
        **_heads(folder),
        "products_ms": {str(tokens): _product(tokens) for tokens in PRODUCT_TOKENS},
    }


def _json_schemas(folder: Path) -> dict[str, Any]:
    """Of a worker's start."""
    tokenizer, config = _load(AutoTokenizer, folder), _load(AutoConfig, folder)
    gc.collect()
    before, started = psutil.Process().memory_info().rss, time.process_time()
    made = Grammars(tokenizer, vocabulary=config.vocab_size, end_ids=[tokenizer.eos_token_id])
    seconds = time.process_time() - started
    gc.collect()
    kept = psutil.Process().memory_info().rss - before
    made.grammar('{"type": "object"}')  # it is alive, and works
    return {
        "vocabulary": config.vocab_size,
        "cpu_seconds": round(seconds, 2),
        "resident_megabytes": round(kept / 1e6),
    }


def _load(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, local_files_only=True)


def _heads(folder: Path) -> dict[str, Any]:
    base = load_base_model(folder)
    usual = probe_model(base).hidden
    started = time.process_time()
    screened = ScreenedHead(base.model.get_output_embeddings().weight.detach(), usual)
    seconds = time.process_time() - started
    runner = ModelRunner(base, RunnerSize(columns=8, rows=max(ROWS), row_tokens=PROMPT_TOKENS * BLOCKS))
    runner.cache.clear(range(runner.cache.blocks + 1))
    return {
        "greedy_head": {
            "cpu_seconds": round(seconds, 2),
            "megabytes": round(screened.size_bytes / 1e6),
        },
        "decode": {str(rows): _decode(runner, screened, rows) for rows in ROWS},
    }


def _decode(runner: ModelRunner, screened: ScreenedHead, rows: int) -> dict[str, float]:
    runner.forward([_piece(row, 0, PROMPT_TOKENS) for row in range(rows)])
    step = [_piece(row, PROMPT_TOKENS, 1) for row in range(rows)]
    hidden = runner.hidden(step)
    milliseconds = alternately(
        {
            "layers_ms": lambda: runner.hidden(step),
            "head_ms": lambda: runner.logits(hidden),
            "greedy_head_ms": lambda: screened.likeliest(hidden),
        },
        ROUNDS,
    )
    layers, head = milliseconds["layers_ms"], milliseconds["head_ms"]
    return {**milliseconds, "head_share": round(head / (layers + head), 3)}


def _piece(row: int, start: int, tokens: int) -> Piece:
    blocks = range(1 + BLOCKS * row, 1 + BLOCKS * (row + 1))
    ids = [7 + 31 * row + 11 * at for at in range(start, start + tokens)]  # rows that differ
    place = Place(blocks=blocks, start=start, tokens=tokens)
    return Piece(place=place, token_ids=ids, columns=None, wants_logits=True)


def _product(tokens: int) -> dict[str, float]:
    """Of gate and up together, in bf16 and in fp32."""
    out, width = PRODUCT
    kernel = PackedKernel((torch.randn(out, width) * 0.02).bfloat16(), None)
    x = torch.randn(tokens, width).bfloat16()
    return alternately({"bf16": lambda: kernel.narrow(x), "fp32": lambda: kernel.widened(x)}, ROUNDS)


if __name__ == "__main__":
    print_measured("footprint", __doc__, measure)
