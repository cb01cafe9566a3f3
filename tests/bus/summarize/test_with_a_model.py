"""A real model behind the yard: its tokenizer cuts the documents, its answers keep to the schema (E6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bus.conftest import Yard
from tests.bus.summarize.conftest import Summarizer

from lorayard.summarize.counting import ModelTokens
from lorayard.summarize.identity import YardView
from lorayard.summarize.tokenizer import FOLDER, token_counter
from lorayard_workers.tiny_model import make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.model, pytest.mark.timeout(180)]

TEXT = "A sentence of several words, größer als ASCII. " * 120


@pytest.fixture
async def served(yard: Yard, summarizer: Summarizer, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    await yard.dispatcher()
    await yard.worker(engine="packed", model=str(model), rows=4, slots=2, threads=1)
    await yard.wait_until(summarizer.client.models, seconds=60.0)


async def test_documents_are_cut_by_the_models_own_tokenizer__e6(
    served: None, summarizer: Summarizer, write: Callable[..., Path]
) -> None:
    found = await summarizer.run(write(long=TEXT), chunk_tokens=600, words=10)
    record = found["long.txt"]
    # The tiny model's tokens are bytes: the estimate would have counted a third.
    assert record.tokens == len(TEXT.encode())
    assert record.error is None
    assert record.chunks >= 10
    assert record.prompt_tokens > len(TEXT.encode())


async def test_a_tokenizer_is_fetched_once_and_a_torn_one_again__e6(
    served: None, summarizer: Summarizer
) -> None:
    client, folder = summarizer.client, summarizer.folder
    view = await YardView.of(client)
    counter = await token_counter(client, view, folder)
    assert isinstance(counter, ModelTokens)
    assert counter.count("größer") == len("größer".encode())
    (file,) = (folder / FOLDER).iterdir()
    before = file.stat().st_mtime_ns
    await token_counter(client, view, folder)
    assert file.stat().st_mtime_ns == before
    file.write_bytes(b"torn")
    assert (await token_counter(client, view, folder)).count("größer") == len("größer".encode())


async def test_a_model_that_knows_nothing_still_writes_a_record__e6(
    served: None, summarizer: Summarizer, write: Callable[..., Path]
) -> None:
    """Held to the schema, even noise is JSON; what the limit cuts short is asked for again, then listed."""
    found = await summarizer.run(write(a="Some words."), structured=True, words=5)
    record = found["a.txt"]
    assert (record.title and record.key_points) or (record.error or {})["code"] == "bad_answer"
