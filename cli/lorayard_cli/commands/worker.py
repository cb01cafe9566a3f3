"""`lorayard worker`: one worker process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lorayard_cli.loops import run_service
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_shared.logs import LevelName, configure_logs
from lorayard_shared.settings import read_settings


def worker(
    *,
    name: str | None = None,
    model: str | None = None,
    models_dir: Path | None = None,
    adapters: Path | None = None,
    engine: Literal["packed", "echo"] | None = None,
    slots: int | None = None,
    rows: int | None = None,
    threads: int | None = None,
    host_bytes: int | None = None,
    echo_delay_seconds: float | None = None,
    log_level: LevelName = "info",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Run a worker in the foreground until SIGTERM or Ctrl-C; it drains first.

    Each option is also an environment variable, as LORAYARD_SLOTS.

    Parameters
    ----------
    name
        Unique among workers.
    model
        gemma3-270m, tiny, or the folder of a Hugging Face model.
    models_dir
        Where known models are kept; ~/.cache/lorayard/models when absent.
    adapters
        Folder laid out as {org}/{model}/{task}/{version}.
    engine
        packed runs the model; echo answers with the prompt and needs none.
    slots
        Adapters held on the device at once.
    rows
        Jobs decoded at once.
    threads
        Threads of the model's arithmetic.
    host_bytes
        Memory for adapters that wait beside the device.
    echo_delay_seconds
        How long the echo engine takes for a job.
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    configure_logs(as_json=output.json, level=log_level)
    from lorayard_workers.app import run_worker
    from lorayard_workers.settings import WorkerSettings

    settings = read_settings(
        WorkerSettings,
        name=name,
        model=model,
        models_dir=models_dir,
        adapters_dir=adapters,
        engine=engine,
        slots=slots,
        rows=rows,
        threads=threads,
        host_bytes=host_bytes,
        echo_delay_seconds=echo_delay_seconds,
        **yard.given(),
    )
    run_service(run_worker(settings))
