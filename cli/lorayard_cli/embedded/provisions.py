"""What a yard needs on the disk before its children start: the base model and the adapters."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from lorayard_cli.embedded.bound_to_parent import bound
from lorayard_cli.embedded.data_folder import DataFolderError
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.options import models_folder
from lorayard_shared.errors import SettingsError, YardError
from lorayard_workers.model_store import GEMMA3_270M, KNOWN_MODELS, TINY, resolve_model

Progress = Callable[[str], None]

TINY_ADAPTERS = ("acme/tiny/a", "acme/tiny/b", "acme/tiny/c")
DEMO_ADAPTERS = Path(__file__).parent.parent / "demo" / "adapters"
MOST_DISPATCHERS = 16
"""More than anybody needs beside workers on one machine."""
MOST_WORKERS = 64


class ModelNotPreparedError(YardError):
    """The base model could not be made ready; with its own reason."""

    def __init__(self, *, model: str, reason: str) -> None:
        super().__init__(f"model {model}: {reason}")
        self.model = model


def provide(plan: YardPlan, *, progress: Progress) -> YardPlan:
    """The plan with everything it needs in place.

    Raises:
        SettingsError: a number or a folder in it has no use.
        ModelNotPreparedError: there is no such model.
        DataFolderError: it cannot be made or written.
    """
    _check(plan)
    if plan.engine == "packed":
        _prepare_model(plan.model, progress)
    try:
        adapters = plan.adapters.absolute() if plan.adapters else _adapters(plan, progress)
    except OSError as error:
        raise DataFolderError(folder=plan.data, reason=error.strerror or str(error)) from error
    return replace(plan, adapters=adapters)


def _check(plan: YardPlan) -> None:
    if not 1 <= plan.dispatchers <= MOST_DISPATCHERS:
        reason = f"between 1 and {MOST_DISPATCHERS}, got {plan.dispatchers}"
        raise SettingsError(setting="--dispatchers", reason=reason)
    if not 1 <= plan.workers <= MOST_WORKERS:
        raise SettingsError(setting="--workers", reason=f"between 1 and {MOST_WORKERS}, got {plan.workers}")
    if plan.threads is not None and plan.threads < 1:
        raise SettingsError(setting="--threads", reason=f"at least 1, got {plan.threads}")
    if not 0 <= plan.port <= 65_535:
        raise SettingsError(setting="--port", reason=f"between 0 and 65535, got {plan.port}")
    if plan.gateway is not None and not 0 <= plan.gateway <= 65_535:
        raise SettingsError(setting="--gateway", reason=f"between 0 and 65535, got {plan.gateway}")
    if plan.gateway is not None and find_spec("uvicorn") is None:
        reason = "it needs uvicorn, which is not installed; run: pip install 'lorayard[gateway]'"
        raise SettingsError(setting="--gateway", reason=reason)
    if plan.adapters is not None and not plan.adapters.is_dir():
        raise SettingsError(setting="--adapters", reason=f"{plan.adapters} is not a folder")
    if plan.engine == "packed" and find_spec("torch") is None:
        raise SettingsError(
            setting="--engine",
            reason="packed needs torch, which is not installed; run: pip install 'lorayard[worker]'",
        )


def _prepare_model(model: str, progress: Progress) -> None:
    if model not in KNOWN_MODELS:
        resolve_model(model, models_folder())
        return
    if (models_folder() / model / "config.json").is_file():
        return  # a worker looks closer
    if model == GEMMA3_270M:
        progress("making gemma3-270m ready to load: once, about a minute")
    # In a process of its own: converting takes 3 GB that the supervisor would never give back.
    command = [*bound(signal.SIGTERM), sys.executable, "-m", "lorayard_cli", "models", "prepare", model]
    last = "it could not be made ready"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as done:
        assert done.stderr is not None
        for line in done.stderr:
            last = line.strip() or last
            if not last.startswith("error: "):
                progress(f"  {last}")
    if done.returncode:
        raise ModelNotPreparedError(model=model, reason=last.removeprefix("error: "))


def _adapters(plan: YardPlan, progress: Progress) -> Path:
    if plan.model == TINY:
        return _tiny_adapters(plan.data / "tiny-adapters")
    if plan.model == GEMMA3_270M:
        progress(f"no --adapters given: serving the demo's three from {DEMO_ADAPTERS}")
        return DEMO_ADAPTERS
    empty = plan.data / "adapters"
    empty.mkdir(parents=True, exist_ok=True)
    progress(f"no --adapters given: put some under {empty}, as org/model/task/version")
    return empty.absolute()


def _tiny_adapters(root: Path) -> Path:
    from lorayard_workers.tiny_model import make_tiny_adapter

    for seed, name in enumerate(TINY_ADAPTERS):
        folder = root / name / "1"
        if not (folder / "adapter_config.json").is_file():
            make_tiny_adapter(folder, seed=seed)
    return root.absolute()
