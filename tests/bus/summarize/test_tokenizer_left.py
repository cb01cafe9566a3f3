"""A tokenizer that could not be fetched leaves nothing behind (E6, G5)."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from tests.bus.conftest import Yard
from tests.bus.summarize.conftest import Summarizer

from lorayard.errors import FileMissingError
from lorayard.summarize.identity import YardView
from lorayard.summarize.tokenizer import FOLDER, token_counter
from lorayard_workers.tiny_model import make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.model, pytest.mark.timeout(180)]


async def test_a_fetch_that_fails_leaves_no_half_file__g5(
    yard: Yard, summarizer: Summarizer, tmp_path: Path
) -> None:
    model = make_tiny_model(tmp_path / "model")
    await yard.dispatcher()
    await yard.worker(engine="packed", model=str(model), rows=4, slots=2, threads=1)
    await yard.wait_until(summarizer.client.models, seconds=60.0)
    view, kept = await YardView.of(summarizer.client), summarizer.folder / FOLDER
    kept.mkdir(parents=True)
    (card,) = await summarizer.client.models()
    name = card.tokenizer.sha256
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    # Of a run that was killed, and of one that still fetches.
    left, other = kept / f"{name}.{gone.pid}.incoming", kept / f"{name}.{os.getppid()}.incoming"
    for path in (left, other):
        path.write_bytes(b"half")
    await yard.bus.api(f"STREAM.PURGE.OBJ_{yard.bus.subjects.bucket('blobs')}")
    with pytest.raises(FileMissingError):
        await token_counter(summarizer.client, view, summarizer.folder)
    assert list(kept.iterdir()) == [other]
