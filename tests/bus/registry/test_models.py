"""What a client can know of a base model without its weights: the tokenizer, from the yard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lorayard import Client
from lorayard_shared.bus.connection import Bus
from lorayard_workers.service.model_teller import ModelTeller

pytestmark = pytest.mark.bus

DIGEST = "sha256:" + "a" * 64
WaitUntil = Callable[..., Awaitable[None]]


@asynccontextmanager
async def telling(bus: Bus, tokenizer: Path | None, model: str = "m") -> AsyncGenerator[None]:
    teller = ModelTeller(bus, model=model, base_digest=DIGEST, tokenizer=tokenizer)
    task = asyncio.create_task(teller.run(), name="model")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_tokenizer_reaches_a_client_byte_for_byte__e6(
    bus: Bus, client: Client, tmp_path: Path, wait_until: WaitUntil
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    async with telling(bus, tmp_path / "tokenizer.json"):
        await wait_until(client.models)
    (card,) = await client.models()
    assert (card.base_digest, card.model, card.tokenizer.size_bytes) == (DIGEST, "m", 2)
    await client.models.fetch_tokenizer(card, tmp_path / "fetched.json")
    assert (tmp_path / "fetched.json").read_text(encoding="utf-8") == "{}"


async def test_a_sweep_leaves_tokenizers_alone__e6(
    bus: Bus, client: Client, tmp_path: Path, wait_until: WaitUntil
) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    async with telling(bus, tmp_path / "tokenizer.json"):
        await wait_until(client.models)
    report = await client.adapters.sweep(older_than_seconds=0.0)
    assert report.objects == ()
    (card,) = await client.models()
    await client.models.fetch_tokenizer(card, tmp_path / "t.json")


async def test_a_model_is_told_anew_where_its_tokenizer_has_changed(
    bus: Bus, client: Client, tmp_path: Path, wait_until: WaitUntil
) -> None:
    for text in ("{}", '{"a": 1}'):
        (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")

        async def told(size: int = len(text)) -> bool:
            return [card.tokenizer.size_bytes for card in await client.models()] == [size]

        async with telling(bus, tmp_path / "tokenizer.json"):
            await wait_until(told)


async def test_a_yard_without_a_model_has_no_cards(bus: Bus, client: Client) -> None:
    assert await client.models() == []
