"""An operator at work: pushes versions, promotes, rolls back, and remembers what each revision allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.chaos.orders import ALIAS, ROLLING

from lorayard import Client, LorayardError
from lorayard_schemas.alias import AliasRecord
from lorayard_workers.tiny_model import make_tiny_adapter

PAUSE_SECONDS: Final = 1.0
PRELOAD_SECONDS: Final = 5.0
STEP_SECONDS: Final = 15.0
"""For one act; one that takes longer is left, and its outcome read later."""
FIRST: Final = "1"


@dataclass(slots=True)
class Operator:
    """What it has done."""

    client: Client
    folder: Path
    revisions: dict[int, AliasRecord] = field(default_factory=dict[int, AliasRecord])
    """Of the alias, all that ever were."""
    done: int = 0
    refused: int = 0

    async def set_up(self) -> None:
        """The first version, and the alias that leads to it."""
        while not self.revisions:
            try:
                await self._push(FIRST)
                await self.client.aliases.split(ALIAS, {FIRST: 100.0}, preload_seconds=None)
                await self._remember()
            except LorayardError:
                await asyncio.sleep(PAUSE_SECONDS)

    async def work(self) -> None:
        """Until cancelled: push and promote, try out, roll back, in turn."""
        number = 1
        while True:
            number += 1
            acts = (
                partial(self._try_out, str(number)),
                partial(self._promote, str(number)),
                self._roll_back,
                partial(self._repair, number),
            )
            for act in acts:
                await self._do(act)
                await asyncio.sleep(PAUSE_SECONDS)

    async def finish(self) -> None:
        """Read what the last acts came to."""
        while True:
            try:
                await self._remember()
            except LorayardError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _do(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(STEP_SECONDS):
                await act()
                await self._remember()
                self.done += 1
        except (LorayardError, TimeoutError):
            self.refused += 1

    async def _push(self, version: str) -> None:
        folder = self._files(version)
        await self.client.adapters.push(folder, name=ROLLING, version=version)
        await self.client.adapters.activate(f"{ROLLING}@{version}")

    def _files(self, version: str) -> Path:
        folder = self.folder / "pushed" / version
        return folder if folder.exists() else make_tiny_adapter(folder, seed=100 + int(version), rank=2)

    async def _try_out(self, version: str) -> None:
        await self._push(version)
        last = self.revisions[max(self.revisions)]
        control = max(last.arms, key=lambda arm: arm.weight).version
        await self.client.aliases.split(
            ALIAS, {control: 70.0, version: 30.0}, preload_seconds=PRELOAD_SECONDS
        )

    async def _promote(self, version: str) -> None:
        await self.client.aliases.promote(ALIAS, version, preload_seconds=PRELOAD_SECONDS)

    async def _roll_back(self) -> None:
        await self.client.aliases.rollback(ALIAS)

    async def _repair(self, number: int) -> None:
        for version in range(1, number + 1):
            await self.client.adapters.repair(self._files(str(version)), f"{ROLLING}@{version}")

    async def _remember(self) -> None:
        # Sixteen are kept by the yard, and between two looks there are fewer.
        for record in await self.client.aliases.history(ALIAS):
            self.revisions[record.revision] = record
