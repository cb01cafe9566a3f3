"""The engine beside its neighbours: stock transformers and its continuous batching, PEFT, vLLM.

All sides but vLLM run in this process on one thread; all take turns in every round, so that a ratio compares
neighbouring moments of one machine. A row that this machine cannot measure is listed with the reason.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from lorayard_cli.bench.engine_report.document import make_document, print_document
from lorayard_cli.bench.engine_report.rows import exit_code, judge
from lorayard_cli.bench.engine_sides import workload
from lorayard_cli.bench.engine_sides.measure import Measured, measure
from lorayard_cli.bench.engine_sides.plan import QUICK, BenchPlan
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.output import print_json
from lorayard_shared.logs import configure_logs


def run(plan: BenchPlan, *, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed. Raises CommandError for a device that is not there."""
    _check_device(plan.device)
    torch.set_num_threads(1)
    configure_logs(as_json=False, level="warning")  # to stderr: every load of an adapter is an event
    measured = measure(plan)
    rows = judge(measured.seen)
    document = make_document(measured.seen, rows, _about(plan, measured))
    if as_json:
        print_json(document)
    else:
        print_document(document, measured.seen, rows)
    return exit_code(rows)


def _check_device(device: str) -> None:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        message = f"--device must be cpu, cuda or cuda:N, got {device!r}"
        raise CommandError(ExitCode.USAGE, "usage", message, field="device")
    found = torch.cuda.device_count()
    if device != "cpu" and int(device.partition(":")[2] or 0) >= found:
        message = f"--device {device}: torch finds {found} CUDA devices here"
        raise CommandError(ExitCode.USAGE, "usage", message, field="device")


def _about(plan: BenchPlan, measured: Measured) -> dict[str, Any]:
    return {
        "quick": plan.sizes is QUICK,
        "rounds": plan.sizes.step_rounds,
        "end_to_end_rounds": plan.sizes.end_to_end_rounds,
        "model": measured.model,
        "parameters": measured.parameters,
        "batch_rows": workload.ROWS,
        "prompt_tokens": plan.sizes.step_prompt_tokens,
        "adapters_loaded": workload.ADAPTERS,
        "rank": workload.RANK,
        "precision": "bf16",
        "screened_head": measured.screened_head,
        "device": plan.device,
        "device_name": _device_name(plan.device),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "amx_bf16": _has_amx(),
        "seconds": round(measured.seconds),
        "seconds_by_phase": {
            name: {"cpu": round(took.cpu, 1), "wall": round(took.wall, 1)}
            for name, took in measured.seconds_by_phase.items()
        },
        **measured.versions,
    }


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def _has_amx() -> bool | None:
    """Whether the CPU multiplies bf16 matrices in AMX, as the musts assume; None where torch is too old."""
    capabilities: Any = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.13
    return None if capabilities is None else bool(capabilities().get("amx_bf16"))
