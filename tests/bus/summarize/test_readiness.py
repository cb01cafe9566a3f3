"""A run that is begun before any worker is up asks the same as the next one (E6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.bus.conftest import Yard
from tests.bus.summarize.conftest import Summarizer

from lorayard.summarize import readiness
from lorayard.summarize.counting import EstimatedTokens, ModelTokens
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.plan import make_plan
from lorayard.summarize.readiness import ESTIMATED, NO_TOKENIZER, NO_WORKER, known_yard
from lorayard_workers.tiny_model import make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.timeout(180)]


@pytest.mark.model
async def test_before_any_worker_is_up_nothing_is_guessed__e6(
    yard: Yard, summarizer: Summarizer, tmp_path: Path
) -> None:
    await yard.dispatcher()
    told: list[str] = []
    early = asyncio.create_task(known_yard(summarizer.client, summarizer.folder, told.append))
    await yard.wait_until(lambda: told == [NO_WORKER])
    model = make_tiny_model(tmp_path / "model")
    await yard.worker(engine="packed", model=str(model), rows=4, slots=2, threads=1)
    await yard.wait_until(early.done, seconds=60.0)
    view, counter = await early
    assert isinstance(counter, ModelTokens)
    late = await known_yard(summarizer.client, summarizer.folder, told.append)
    keys = {make_plan(SummaryOptions(), *found).key for found in ((view, counter), late)}
    assert len(keys) == 1
    assert set(told) <= {NO_WORKER, NO_TOKENIZER}


async def test_echo_workers_have_no_tokenizer_to_wait_for__e6(yard: Yard, summarizer: Summarizer) -> None:
    await yard.dispatcher()
    await yard.worker()
    told: list[str] = []
    view, counter = await known_yard(summarizer.client, summarizer.folder, told.append)
    assert isinstance(counter, EstimatedTokens)
    assert (len(view.workers), told) == (1, [])


@pytest.mark.model
async def test_a_worker_that_never_tells_its_tokenizer_is_not_waited_for_for_ever__e6(
    yard: Yard, summarizer: Summarizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an older version, or whose model brings none."""
    monkeypatch.setattr(readiness, "TOKENIZER_SECONDS", 0.2)
    model = make_tiny_model(tmp_path / "model")
    monkeypatch.setattr("lorayard_workers.service.model_teller.MAX_TOKENIZER_BYTES", 1)
    await yard.dispatcher()
    await yard.worker(engine="packed", model=str(model), rows=4, slots=2, threads=1)
    told: list[str] = []
    _, counter = await known_yard(summarizer.client, summarizer.folder, told.append)
    assert (counter.is_exact, told) == (False, [NO_TOKENIZER, ESTIMATED])
