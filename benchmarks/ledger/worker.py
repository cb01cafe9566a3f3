"""A worker process whose engine does what a prompt says first: `python -m benchmarks.ledger.worker`."""

from __future__ import annotations

import os
import signal
import sys
from random import Random

from lorayard_cli.loops import run_service
from lorayard_shared.errors import YardError
from lorayard_shared.logs import configure_logs
from lorayard_shared.settings import read_settings
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.app import run_worker
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.equipment import Equipment
from lorayard_workers.errors import WorkerSpentError
from lorayard_workers.settings import WorkerSettings


def script(request: GenerationRequest) -> Scripted:
    """`slow SECONDS`, `flaky`, `hopeless`, `refused`, `poison`; anything else is echoed at once."""
    word, _, rest = str(request.prompt).partition(" ")
    if word == "slow":
        return Scripted(delay_seconds=float(rest.split()[0]))
    if word == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "refused":
        return Scripted(outcome=_failure(request, FailureKind.PERMANENT, "bad_prompt"))
    # A retry is another message with another id: each run draws anew.
    if word == "hopeless" or (word == "flaky" and Random(request.request_id).random() < 0.5):
        return Scripted(outcome=_failure(request, FailureKind.RETRYABLE, "engine_error"))
    return Scripted(delay_seconds=0.02)


def _failure(request: GenerationRequest, kind: FailureKind, code: str) -> Failed:
    return Failed(request_id=request.request_id, kind=kind, code=code, message="as its prompt says")


def equip(settings: WorkerSettings) -> Equipment:
    """An echo engine with the script, and the adapters of the folder."""
    assert settings.adapters_dir is not None
    scanner = CatalogScanner(root=settings.adapters_dir, max_rank=settings.max_rank)
    catalog = scanner.scan()
    engine = EchoEngine(slots=settings.slots, rows=settings.rows, script=script)
    return Equipment(engine=engine, catalog=catalog, folders=catalog.folders(), scanner=scanner)


def main() -> int:
    """As `lorayard worker` ends: what its supervisor sees is the exit code."""
    configure_logs(as_json=False, level="warning")
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
