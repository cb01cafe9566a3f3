"""How much memory the runner takes over a very long file, in a process of its own.

The yard is one that answers at once and is not there: what is measured is the runner with its client's
messages, not a bus. It reads, checks, orders, sends, decodes and writes as ever.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorayard import Client, GenerateRequest, JobHandle
from lorayard.batch import BatchOptions, BatchRunner, batch_files, open_batch
from lorayard.link import Link
from lorayard.listener import Slot
from lorayard.submit_report import SubmitReport
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import encode
from lorayard_schemas.result import JobResult, Maker, ResultState, Usage
from lorayard_shared.value import value


@value
class MemorySeen:
    """Of one run."""

    lines: int
    peak_mb: float
    """Resident, at its highest."""
    before_mb: float
    """With everything imported, before the first line."""
    lines_per_second: float


class NoYard(Client):
    """Answers every request the moment that it is submitted."""

    async def submit_many(
        self,
        requests: Iterable[GenerateRequest],
        *,
        atomic: bool = False,
        wait_for_room_seconds: float | None = None,
    ) -> SubmitReport[JobHandle]:
        """A handle for each, whose result is there, as bytes."""
        return SubmitReport(entries=[self._answered(request) for request in requests])

    async def workers(self) -> list[WorkerAdvert]:
        """One would be enough."""
        return []

    def _answered(self, request: GenerateRequest) -> JobHandle:
        slot = Slot(self.job_id(request.idempotency_key or ""), None)
        slot.fill(
            encode(
                JobResult(
                    job=slot.job_id,
                    tenant="default",
                    state=ResultState.SUCCEEDED,
                    text="ok",
                    finish_reason="stop",
                    maker=Maker(worker="none", tier="slot"),
                    usage=Usage(prompt_tokens=5, completion_tokens=1),
                    finished_at=time.time(),
                )
            )
        )
        return JobHandle(_NO_LINK, slot)


_NO_LINK: Link = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]  # a handle with a result asks nobody


def measure_memory(folder: Path) -> MemorySeen:
    """Of a run over `in.jsonl` in the folder, in a process of its own."""
    command = [sys.executable, "-m", __name__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return MemorySeen(**json.loads(done.stdout))


async def _run(folder: Path) -> MemorySeen:
    before = _peak_mb()
    started = time.monotonic()
    files = batch_files(folder / "in.jsonl", folder / "out.jsonl")
    batch = open_batch(files, BatchOptions(), tenant="default")
    manifest = await BatchRunner(NoYard(), batch).run()
    return MemorySeen(
        lines=manifest.counts.answered,
        peak_mb=_peak_mb(),
        before_mb=before,
        lines_per_second=manifest.counts.answered / (time.monotonic() - started),
    )


def _peak_mb() -> float:
    # Not getrusage: its figure is inherited from whoever started the process.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    seen: Any = asyncio.run(_run(Path(sys.argv[1])))
    sys.stdout.write(json.dumps(asdict(seen)))
