"""A worker process whose engine does what a prompt says first: `python -m benchmarks.chaos.worker`.

Each answer ends with the digest of the adapter that the engine was given, so that the ledger sees whether the
one that is named made it. What is given to the engine is written down before it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from random import Random

from benchmarks.chaos.mutations import mutate

from lorayard_cli.loops import run_service
from lorayard_shared.errors import YardError
from lorayard_shared.logs import configure_logs
from lorayard_shared.settings import read_settings
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.adapters.limits import AdapterLimits
from lorayard_workers.app import run_worker
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted, echo_prompt
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.equipment import Equipment
from lorayard_workers.errors import WorkerSpentError
from lorayard_workers.settings import WorkerSettings

FOLDER = Path(os.environ.get("CHAOS_FOLDER", "."))
MUTATIONS = os.environ.get("CHAOS_MUTATIONS", "")


class ScriptedEngine:
    """What the engine of one worker does."""

    def __init__(self, worker: str) -> None:
        self._hang = FOLDER / f"hang-{worker}"
        self._worker = worker
        self._runs = os.open(FOLDER / f"runs-{worker}", os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def __call__(self, request: GenerationRequest) -> Scripted:
        """`slow SECONDS`, `flaky`, `hopeless`, `refused`, `poison`; anything else is echoed at once."""
        prompt = echo_prompt(request)
        word, _, rest = prompt.partition(" ")
        if not any(mark in prompt for mark in ("order-", "probe-")):
            return Scripted(delay_seconds=0.02)  # the trial of a version
        os.write(self._runs, f"{time.monotonic():.3f} {time.time():.3f} {prompt[:80]}\n".encode())
        if self._hang.exists():
            self._hang.unlink(missing_ok=True)
            return Scripted(hangs=True)
        text = f"{prompt} by {request.adapter or 'base'}"
        if word == "slow":
            return Scripted(text=text, delay_seconds=float(rest.split()[0]))
        if word == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "refused":
            return Scripted(outcome=_failure(request, FailureKind.PERMANENT, "bad_prompt"))
        # A retry is another message with another id: each run draws anew.
        if word == "hopeless" or (word == "flaky" and Random(request.request_id).random() < 0.5):
            return Scripted(outcome=_failure(request, FailureKind.RETRYABLE, "engine_error"))
        return Scripted(text=text, delay_seconds=0.02)


def _failure(request: GenerationRequest, kind: FailureKind, code: str) -> Failed:
    return Failed(request_id=request.request_id, kind=kind, code=code, message="as its prompt says")


def equip(settings: WorkerSettings) -> Equipment:
    """An echo engine with the script, and the adapters of the folder."""
    assert settings.adapters_dir is not None
    scanner = CatalogScanner(root=settings.adapters_dir, max_rank=settings.max_rank)
    catalog = scanner.scan()
    engine = EchoEngine(slots=settings.slots, rows=settings.rows, script=ScriptedEngine(settings.name))
    limits = AdapterLimits(max_rank=settings.max_rank)
    return Equipment(
        engine=engine, catalog=catalog, folders=catalog.folders(), limits=limits, scanner=scanner
    )


def main() -> int:
    """As `lorayard worker` ends: what its supervisor sees is the exit code."""
    configure_logs(as_json=False, level="warning")
    mutate(MUTATIONS.split(",") if MUTATIONS else ())
    try:
        run_service(run_worker(read_settings(WorkerSettings), equip=equip))
    except WorkerSpentError as error:
        sys.stderr.write(f"error: {error}\n")
        return 10
    except YardError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
