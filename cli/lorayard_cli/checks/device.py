"""Is there the device that workers here ask for: a GPU with a driver, and a torch that finds it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lorayard_cli.checks.finding import Finding, fail, ok, warn

SMI = "nvidia-smi"
_QUERY = "--query-gpu=index,name,driver_version,memory.total,memory.used"
SMI_SECONDS = 5.0
"""A healthy driver answers in a tenth of it; one that hangs would hold the whole report."""

TORCH_SECONDS = 30.0
"""Importing torch takes two on a fast disk."""

NODES = Path("/dev")

NEARLY_FULL = 0.95

_ASK_TORCH = "import torch; print(torch.version.cuda, torch.cuda.is_available(), torch.cuda.device_count())"
_DRIVER = "install or load NVIDIA's driver for this kernel (nvidia-smi has to answer), or LORAYARD_DEVICE=cpu"
_TORCH = "install a torch built for CUDA that the driver knows, or set LORAYARD_DEVICE=cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gpu:
    """One line of the driver's tool."""

    index: int
    name: str
    driver: str
    total_mib: float
    used_mib: float


async def check_device(
    device: str, *, nodes: Path = NODES, python: str = sys.executable
) -> AsyncIterator[Finding]:
    """`device` is what workers are told: `auto`, `cpu`, `cuda`, `cuda:N`; `python` has the torch."""
    if device == "cpu":
        yield ok("device", "cpu, as LORAYARD_DEVICE says")
        return
    wanted = device.startswith("cuda")
    has_nodes = any(nodes.glob("nvidia[0-9]*"))  # noqa: ASYNC240  # a folder in memory
    smi = shutil.which(SMI)
    gpus, trouble = await _ask_driver(smi) if smi is not None else ([], f"{SMI} is not installed")
    if not gpus:
        if wanted or has_nodes or smi is not None:
            report = fail if wanted else warn
            yield report("device", f"no GPU answers: {trouble}", _DRIVER)
        else:
            yield ok("device", "no GPU here: workers use the processor")
        return
    index = int(device.partition(":")[2] or 0)
    if wanted and index not in {gpu.index for gpu in gpus}:
        there = ", ".join(f"cuda:{gpu.index}" for gpu in gpus)
        yield fail("device", f"LORAYARD_DEVICE is {device}, and there is {there}", "name one that there is")
    for gpu in gpus:
        yield _memory(gpu)
    yield await _torch(python, wanted)


def _memory(gpu: _Gpu) -> Finding:
    used = f"{gpu.used_mib:.0f} of {gpu.total_mib:.0f} MiB used"
    told = f"cuda:{gpu.index} {gpu.name}, driver {gpu.driver}, {used}"
    if gpu.total_mib and gpu.used_mib > NEARLY_FULL * gpu.total_mib:
        return warn("device", told, "see who has it: nvidia-smi; a worker takes its memory at start")
    return ok("device", told)


async def _ask_driver(smi: str) -> tuple[list[_Gpu], str]:
    """What there is, or why nothing was told."""
    code, out, told = await _output(SMI_SECONDS, smi, _QUERY, "--format=csv,noheader,nounits")
    if code is None:
        return [], f"{SMI} does not end within {SMI_SECONDS:g} s: the driver hangs"
    if code != 0:
        return [], f"{SMI} ends with {code}: {_first(out) or _first(told)}"
    gpus = [gpu for line in out.splitlines() if (gpu := _gpu(line)) is not None]
    return gpus, "it names no device" if not gpus else ""


def _gpu(line: str) -> _Gpu | None:
    with suppress(ValueError):
        index, name, driver, total, used = (part.strip() for part in line.split(","))
        return _Gpu(index=int(index), name=name, driver=driver, total_mib=float(total), used_mib=float(used))
    return None


async def _torch(python: str, wanted: bool) -> Finding:
    """In a process of its own: a broken driver may end whoever loads it, and torch is slow to load."""
    if find_spec("torch") is None:
        return warn("torch", "not installed here, so no worker starts here", "pip install 'lorayard[worker]'")
    code, out, told = await _output(TORCH_SECONDS, python, "-c", _ASK_TORCH)
    report = fail if wanted else warn
    if code is None:
        return report("torch", f"does not look for its devices within {TORCH_SECONDS:g} s", _DRIVER)
    if code != 0:
        return report("torch", f"cannot be loaded: {_last(told)}", "pip install 'lorayard[worker]'")
    cuda, available, count = out.split()[-3:]
    if cuda == "None":
        return report("torch", "is built without CUDA, beside a GPU that answers", _TORCH)
    if available != "True":
        return report("torch", f"built for CUDA {cuda}, finds no device: {_last(told)}", _TORCH)
    return ok("torch", f"built for CUDA {cuda}, finds {count} devices")


async def _output(seconds: float, *command: str) -> tuple[int | None, str, str]:
    """Exit code, or None when it took too long; what it printed, and said."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(seconds):
            out, told = await process.communicate()
    except TimeoutError:
        return None, "", ""
    finally:
        if process.returncode is None:
            process.kill()  # not waited for: one in the kernel's hands may never go
    return process.returncode, out.decode(errors="replace"), told.decode(errors="replace")


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason told")
