"""The engine beside its neighbours: stock transformers, PEFT's mixed batches, PEFT one adapter at a time.

All sides run in this process on one thread, in turn in every round, so that a ratio compares neighbouring
moments of one machine. Rows of issue 3's table that cannot be measured yet are listed with the reason.
"""

from __future__ import annotations

from typing import Any

import torch

from lorayard_cli.bench.engine_report.document import make_document, print_document
from lorayard_cli.bench.engine_report.rows import Seen, exit_code, judge
from lorayard_cli.bench.engine_sides import workload
from lorayard_cli.bench.engine_sides.bleed import measure_bleed
from lorayard_cli.bench.engine_sides.memory import measure_memory
from lorayard_cli.bench.engine_sides.rounds import time_sides
from lorayard_cli.output import note, print_json
from lorayard_shared.logs import configure_logs

ROUNDS = 5
QUICK_ROUNDS = 3
BLEED_REQUESTS = 10_800
"""Some are cancelled on purpose: over 10,000 remain to be compared."""
QUICK_BLEED_REQUESTS = 600


def run(*, quick: bool, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    torch.set_num_threads(1)
    configure_logs(as_json=False, level="warning")  # to stderr: every load of an adapter is an event
    rounds = QUICK_ROUNDS if quick else ROUNDS
    timing = time_sides(rounds)
    note("comparing rows in company with the same alone")
    bleed = measure_bleed(QUICK_BLEED_REQUESTS if quick else BLEED_REQUESTS)
    seen = Seen(times=timing.times, memory=measure_memory(), bleed=bleed)
    rows = judge(seen)
    about = {
        "quick": quick,
        "rounds": rounds,
        "model": timing.model,
        "parameters": timing.parameters,
        "batch_rows": workload.ROWS,
        "prompt_tokens": workload.PROMPT_TOKENS,
        "adapters_loaded": workload.ADAPTERS,
        "rank": workload.RANK,
        "precision": "bf16",
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "amx_bf16": _has_amx(),
    }
    document = make_document(seen, rows, about)
    if as_json:
        print_json(document)
    else:
        print_document(document, rows)
    return exit_code(rows)


def _has_amx() -> bool | None:
    """Whether the CPU multiplies bf16 matrices in AMX, as the musts assume; None where torch is too old."""
    capabilities: Any = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.13
    return None if capabilities is None else bool(capabilities().get("amx_bf16"))
