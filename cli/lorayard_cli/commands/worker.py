"""`lorayard worker`: one worker process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from lorayard_cli.loops import run_service
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_shared.logs import LevelName, configure_logs
from lorayard_shared.settings import read_settings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What the environment decides where nothing is given."""

    name: str | None = None
    """Unique among workers."""
    model: str | None = None
    """gemma3-270m, tiny, or the folder of a Hugging Face model."""
    models_dir: Path | None = None
    """Where known models are kept; ~/.cache/lorayard/models when absent."""
    adapters: Path | None = None
    """Folder laid out as {org}/{model}/{task}/{version}; what is put there later is found too."""
    engine: Literal["packed", "echo"] | None = None
    """packed runs the model; echo answers with the prompt and needs none."""
    slots: int | None = None
    """Adapters held on the device at once."""
    rows: int | None = None
    """Jobs decoded at once."""
    threads: int | None = None
    """Threads of the model's arithmetic."""
    host_bytes: int | None = None
    """Memory for adapters that wait beside the device."""
    echo_delay_seconds: float | None = None
    """How long the echo engine takes for a job."""

    def given(self) -> dict[str, object]:
        """By the names of settings."""
        options = asdict(self)
        return {"adapters_dir": options.pop("adapters"), **options}


AS_SET = WorkerOptions()


def worker(
    *,
    options: WorkerOptions = AS_SET,
    log_level: LevelName = "info",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Run a worker in the foreground until SIGTERM or Ctrl-C; it drains first.

    Each option is also an environment variable, as LORAYARD_SLOTS.

    Parameters
    ----------
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    configure_logs(as_json=output.json, level=log_level)
    from lorayard_workers.app import run_worker
    from lorayard_workers.settings import WorkerSettings

    run_service(run_worker(read_settings(WorkerSettings, **options.given(), **yard.given())))
