"""A plain prompt reaches the engine in the form its adapter was trained on, unless it asks for none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lorayard import Client
from lorayard_dispatcher.app import run_dispatcher
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_shared.adapters.prompt_template import TEMPLATE_NAME
from lorayard_shared.settings import YardSettings
from lorayard_workers.app import run_worker
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

ADAPTER = "acme/tiny/a"


@pytest.fixture
async def client(settings: YardSettings, tmp_path: Path) -> AsyncIterator[Client]:
    """A yard whose engine echoes what it was given."""
    folder = make_tiny_adapter(tmp_path / ADAPTER / "1", seed=1)
    (folder / TEMPLATE_NAME).write_text("<<{prompt}>>")
    common = {"url": settings.url, "prefix": settings.prefix, "ack_wait_seconds": settings.ack_wait_seconds}
    stop = asyncio.Event()
    worker = WorkerSettings.model_validate({**common, "engine": "echo", "adapters_dir": tmp_path})
    running = [
        asyncio.create_task(run_dispatcher(DispatcherSettings.model_validate(common), stop=stop)),
        asyncio.create_task(run_worker(worker, stop=stop)),
    ]
    async with Client(settings=settings) as client:
        yield client
    stop.set()
    await asyncio.gather(*running)


async def test_a_named_adapter_brings_its_template(client: Client) -> None:
    """B1, G3: the caller need not know how the adapter was trained."""
    assert (await client.generate("hello", adapter=ADAPTER)).text == "<<hello>>"


async def test_without_template_the_prompt_goes_as_it_is(client: Client) -> None:
    assert (await client.generate("hello", adapter=ADAPTER, template="none")).text == "hello"


async def test_the_base_model_and_conversations_are_not_touched(client: Client) -> None:
    assert (await client.generate("hello")).text == "hello"
    turns = [{"role": "user", "content": "hello"}]
    assert (await client.generate(turns, adapter=ADAPTER)).text == "hello"
