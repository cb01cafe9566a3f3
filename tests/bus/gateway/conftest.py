"""A gateway on a real port, in front of a real yard in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bus.conftest import Yard
from tests.bus.streams.conftest import Writing

from lorayard import Client
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.process import address, bind, serving
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings


@dataclass(frozen=True, kw_only=True)
class Door:
    """A gateway that serves, and a key to it."""

    url: str
    key: str
    gateway: Gateway
    yard: Yard
    admin: Client

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def http(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """A client with the key, or with these headers."""
        headers = self.headers if headers is None else headers
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30.0)


def local(settings: YardSettings, **given: object) -> GatewaySettings:
    """Settings of a gateway on a free port."""
    usual = {"gateway_port": 0, "gateway_drain_seconds": 1.0}
    return GatewaySettings.model_validate({**settings.model_dump(), **usual, **given})


@asynccontextmanager
async def opened(settings: GatewaySettings) -> AsyncGenerator[tuple[str, Gateway]]:
    """A gateway that serves: its address, and itself."""
    with bind(settings) as listening:
        async with await connect(settings, name="gateway") as bus:
            gateway = Gateway(bus, settings)
            try:
                await gateway.start()
                async with serving(gateway, listening):
                    yield address(listening), gateway
            finally:
                await gateway.close()


OpenDoor = Callable[..., Any]


@pytest.fixture
async def open_door(yard: Yard, tmp_path: Path) -> AsyncIterator[OpenDoor]:
    """Open a gateway with settings of the test's choice, in front of the test's yard."""
    async with AsyncExitStack() as held:
        admin = await held.enter_async_context(Client(settings=yard.settings))

        async def make(tenant: str = "acme", **given: object) -> Door:
            key = (await admin.keys.add(tenant)).key
            given = {"gateway_batches_dir": tmp_path / "batches", **given}
            url, gateway = await held.enter_async_context(opened(local(yard.settings, **given)))
            return Door(url=url, key=key, gateway=gateway, yard=yard, admin=admin)

        yield make


@pytest.fixture
async def door(open_door: OpenDoor, adapters: Path) -> Door:
    """In front of a dispatcher and an echo worker with one adapter."""
    door: Door = await open_door()
    await door.yard.dispatcher()
    await door.yard.worker(adapters_dir=adapters)
    return door


@pytest.fixture
async def writing(open_door: OpenDoor) -> tuple[Door, Writing]:
    """In front of a worker that writes what the test says."""
    door: Door = await open_door()
    engine = Writing()
    await door.yard.dispatcher()
    await door.yard.worker(engine=engine)
    return door, engine


async def new_key(door: Door, tenant: str) -> str:
    """A key that the gateway has heard of: it hears by another way than of requests."""
    key = (await door.admin.keys.add(tenant)).key
    await door.yard.wait_until(lambda: door.gateway.keys.find(key, 0.0) is not None)
    return key


def chat(prompt: str, **more: Any) -> dict[str, Any]:
    """A body that asks one thing of the base model."""
    return {"model": "base", "messages": [{"role": "user", "content": prompt}]} | more


LINES = b'{"custom_id": "a"}\n'


async def uploaded(
    http: httpx.AsyncClient, body: bytes = LINES, name: str = "in.jsonl", **fields: str
) -> dict[str, Any]:
    """A file that was taken, as the gateway tells it."""
    data = {"purpose": "batch", **fields}
    answer = await http.post("/v1/files", data=data, files={"file": (name, body)})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told
