"""A wire between one process and the bus, on loopback, with weather of our making.

Each process has a wire of its own and knows no other way to the bus, so that what is done to a wire is done
to one process. Bytes are never changed, lost for good or put in another order: TCP would not let that pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.chaos.blows import Weapon

BLOCK_BYTES: Final = 65_536
SLOW_BYTES_PER_SECOND: Final = 8_192
LOSS: Final = 0.05
"""Of blocks: a TCP connection over a link that loses so much just about works."""
FIRST_STALL_SECONDS: Final = 0.2
"""Linux's shortest wait before it sends again; each further loss doubles it."""
ENDS: Final = 0.02
"""Of blocks after which the connection ends, while packets are lost."""
CONNECT_SECONDS: Final = 1.0


@dataclass(slots=True)
class Weather:
    """What passes now."""

    kind: Weapon | None = None
    amount: float = 0.0


class Wire:
    """Takes connections on a port and passes each on to the first of the servers that takes it."""

    def __init__(self, servers: Sequence[int], draw: Random) -> None:
        self._servers = list(servers)
        self._draw = draw
        self._fair = asyncio.Event()
        self._fair.set()
        self._weather = Weather()
        self._ends: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where its process connects."""
        return f"nats://127.0.0.1:{self.port}"

    async def open(self, port: int = 0) -> None:
        """Take connections."""
        self._listener = await asyncio.start_server(self._took, "127.0.0.1", port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """For good."""
        if self._listener is not None:
            self._listener.close()
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        self.end_all()

    def set(self, kind: Weapon | None, amount: float = 0.0) -> None:
        """Have this weather from now on; None: everything passes."""
        self._weather = Weather(kind, amount)
        if kind is Weapon.CUT:
            self._fair.clear()
        else:
            self._fair.set()
        if kind is Weapon.RESET:
            self.end_all()

    def end_all(self) -> None:
        """End its connections at once."""
        for writer in list(self._ends):
            writer.transport.abort()

    async def _took(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        self._ends.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._pass(reader, writer)
        finally:
            self._ends.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._fair.wait()
        if self._weather.kind is Weapon.RESET:
            return
        reached = await self._reach()
        if reached is None:
            return
        far_reader, far_writer = reached
        self._ends.add(far_writer)
        ways = [
            asyncio.create_task(self._carry(reader, far_writer, slow=False)),
            asyncio.create_task(self._carry(far_reader, writer, slow=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._ends.discard(far_writer)
            far_writer.transport.abort()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for port in self._draw.sample(self._servers, len(self._servers)):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        while block := await reader.read(BLOCK_BYTES):
            await self._fair.wait()
            await self._hold_up(block, slow=slow)
            await self._fair.wait()
            writer.write(block)
            await writer.drain()

    async def _hold_up(self, block: bytes, *, slow: bool) -> None:
        kind = self._weather.kind
        if kind is Weapon.DELAY:
            await asyncio.sleep(self._weather.amount * self._draw.uniform(0.5, 1.5))
        elif kind is Weapon.SLOW and slow:
            await asyncio.sleep(len(block) / SLOW_BYTES_PER_SECOND)
        elif kind is Weapon.LOSS:
            stall = FIRST_STALL_SECONDS
            while self._draw.random() < LOSS and self._weather.kind is Weapon.LOSS:
                await asyncio.sleep(stall)
                stall *= 2
            if self._draw.random() < ENDS:
                raise ConnectionResetError
