"""End a batch from another process: its runner hears of it, or where none lives its jobs are cancelled."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lorayard.batch.errors import OutputWriteError
from lorayard.batch.files import state_folder
from lorayard.batch.in_thread import in_thread
from lorayard.batch.line import Line
from lorayard.batch.manifest import BatchState, Manifest, write_manifest
from lorayard.batch.opening import CANCEL, OpenBatch
from lorayard.batch.sending import Sender
from lorayard.batch.tally import Tally
from lorayard.batch.work import keys_of
from lorayard.client import Client

BLOCK_LINES = 1024

GENERATIONS = 8
"""More than the manifest knows of: it is written every few seconds."""


def want_cancel(output: Path) -> None:
    """Have the runner of this batch end it.

    Raises:
        OutputWriteError: there is no room for the wish.
    """
    path = state_folder(output) / CANCEL
    try:
        path.touch()
    except OSError as error:
        raise OutputWriteError(path=path, reason=error.strerror or str(error)) from error


async def cancel_left(yard: Client, batch: OpenBatch) -> tuple[Manifest, int]:
    """Cancel the jobs that a killed runner left, and how many those were; closes the batch.

    Raises:
        LorayardError: nobody can tell which those are.
    """
    try:
        # Should this process die, too, a resume takes the cancelled jobs for what they are.
        await in_thread(partial(want_cancel, batch.files.output))
        sender = Sender(yard, batch.manifest.id)
        await sender.look_for_unfinished()
        generations = batch.manifest.generations + GENERATIONS
        left: list[str] = []
        while sender.unfinished and not batch.source.ended:
            block = await in_thread(partial(batch.source.block, BLOCK_LINES))
            for line in block:
                if isinstance(line, Line):
                    left += _jobs(yard, batch.manifest.id, line, generations) & sender.unfinished
        await yard.cancel_many(left)
        manifest = Tally(batch.manifest).manifest(state=BatchState.CANCELLED)
        write_manifest(manifest)
    finally:
        batch.close()
    return manifest, len(left)


def _jobs(yard: Client, batch: str, line: Line, generations: int) -> set[str]:
    """Every id that a job of it may have."""
    choices = len(line.asked.requests)
    return {
        yard.job_id(key)
        for generation in range(generations)
        for key in keys_of(batch, line.custom_id, (generation,) * choices)
    }
