"""What parts of the engine cost beside the model: the table for answers by a schema, the copy of the head.

`python benchmarks/engine/footprint.py [model folder]`: half a minute on one core with Gemma 3 270M. JSON:
CPU seconds and memory of what makes a tokenizer ready for JSON schemas; CPU seconds and memory of the greedy
head's copy; for decode steps of the base model, milliseconds of all layers, of the output head and of the
greedy head in its place, and the output head's share of a step.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoTokenizer

from lorayard_cli.bench.figures import surroundings
from lorayard_shared.logs import configure_logs
from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.attention_plan import Place
from lorayard_workers.engine.grammar import Grammars
from lorayard_workers.engine.runner import ModelRunner, Piece, RunnerSize
from lorayard_workers.engine.screened_head import ScreenedHead
from lorayard_workers.engine.self_check import probe_model

ROWS = (1, 16)
ROUNDS = 9
"""The middle one counts."""
PROMPT_TOKENS = 64
BLOCKS = 2
"""Of the cache, for each row."""


def main() -> None:
    """Measure and print."""
    configure_logs(as_json=False, level="warning")  # to stderr: what is printed is the result
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path("~/.cache/lorayard/models/gemma3-270m").expanduser()
    parser.add_argument("model", nargs="?", type=Path, default=default)
    folder = parser.parse_args().model
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = {
            "bench": "footprint",
            **surroundings(),
            "torch": torch.__version__,
            "model": folder.name,
            "json_schemas": _json_schemas(folder),  # before any weights are in memory
            **_heads(folder),
        }
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


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
    milliseconds = _alternately(
        {
            "layers_ms": lambda: runner.hidden(step),
            "head_ms": lambda: runner.logits(hidden),
            "greedy_head_ms": lambda: screened.likeliest(hidden),
        }
    )
    layers, head = milliseconds["layers_ms"], milliseconds["head_ms"]
    return {**milliseconds, "head_share": round(head / (layers + head), 3)}


def _piece(row: int, start: int, tokens: int) -> Piece:
    blocks = range(1 + BLOCKS * row, 1 + BLOCKS * (row + 1))
    ids = [7 + 31 * row + 11 * at for at in range(start, start + tokens)]  # rows that differ
    place = Place(blocks=blocks, start=start, tokens=tokens)
    return Piece(place=place, token_ids=ids, columns=None, wants_logits=True)


def _alternately(sides: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of CPU time of this thread."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(ROUNDS + 1):
        for name, run in sides.items():
            started = time.thread_time()
            run()
            if turn:  # the first warms caches up
                times[name].append((time.thread_time() - started) * 1000)
    return {name: round(statistics.median(found), 2) for name, found in times.items()}


if __name__ == "__main__":
    main()
