"""A yard of two workers with the tiny model, for what is pushed and rolled out while it runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lorayard import Client
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_shared.bus.connection import Bus, connect

WORKERS: Final = 2
ROWS: Final = 8
SLOTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveYard:
    """What the measurements need of it."""

    client: Client
    bus: Bus
    folder: Path
    """For whatever they write; it goes when the yard does."""


@asynccontextmanager
async def live_yard(folder: Path) -> AsyncGenerator[LiveYard]:
    """Start one in an empty folder."""
    adapters = folder / "adapters"
    adapters.mkdir()
    plan = YardPlan(
        data=folder / "data",
        model="tiny",
        adapters=adapters,
        workers=WORKERS,
        port=0,
        slots=SLOTS,
        rows=ROWS,
        threads=1,
        environment={
            "LORAYARD_MODELS_DIR": str(folder / "models"),
            "LORAYARD_KV_BYTES": str(64 << 20),
            "LORAYARD_JSON_SCHEMAS": "false",
        },
    )
    async with (
        EmbeddedYard(plan) as yard,
        Client(settings=yard.settings) as client,
        await connect(yard.settings, name="bench") as bus,
    ):
        yield LiveYard(client=client, bus=bus, folder=folder)
