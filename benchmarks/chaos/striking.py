"""Does to the processes of a yard what was drawn, and undoes what lasts only for a while."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import nats.errors
from benchmarks.chaos.blows import ALL_BUS, ALL_DISPATCHERS, BLOBS, DISPATCHERS, LEADER, WORKERS, Blow, Weapon
from benchmarks.chaos.clocks import set_clock
from benchmarks.chaos.disks import clear, fill
from benchmarks.chaos.rotting import rot_folder, rot_store
from benchmarks.chaos.wire import Wire
from benchmarks.chaos.yard import ChaosYard

from lorayard_cli.embedded.liveness import is_listening
from lorayard_shared.bus.connection import ApiError, Bus

LOOK_SECONDS: Final = 0.02
SPARE_BYTES: Final = 4 << 20
"""Of memory beyond what a process has."""
SIGNALS: Final = {
    Weapon.KILL: signal.SIGKILL,
    Weapon.TERM: signal.SIGTERM,
    Weapon.STOP: signal.SIGSTOP,
}
WEATHERS: Final = frozenset({Weapon.CUT, Weapon.RESET, Weapon.DELAY, Weapon.LOSS, Weapon.SLOW})


@dataclass(slots=True, kw_only=True)
class Struck:
    """A blow that was dealt."""

    blow: Blow
    targets: tuple[str, ...]
    at: float
    """Unix seconds."""
    over: float = 0.0
    """Unix seconds: a server takes connections again, a process stands no more, a wire carries."""


@dataclass(slots=True)
class Striker:
    """Deals blows."""

    yard: ChaosYard
    bus: Bus
    dealt: list[Struck] = field(default_factory=list[Struck])
    hits: Counter[str] = field(default_factory=Counter[str])
    """By weapon and target."""

    async def strike(self, blow: Blow) -> Struck:
        """Deal it; returns when it is over."""
        targets = await self._targets(blow)
        struck = Struck(blow=blow, targets=targets, at=time.time())
        self.dealt.append(struck)
        self.hits[blow.name] += 1
        await asyncio.gather(*(self._hit(blow, target) for target in targets))
        struck.over = time.time()
        return struck

    async def _targets(self, blow: Blow) -> tuple[str, ...]:
        if blow.target == ALL_DISPATCHERS:
            return DISPATCHERS
        if blow.target == ALL_BUS:
            return tuple(node.name for node in self.yard.nodes)
        if blow.target == LEADER:
            return (await self._leader(),)
        return (blow.target,)

    async def _leader(self) -> str:
        """Of the stream of jobs; while there is none, some node."""
        stream = self.bus.subjects.stream("jobs")
        with suppress(ApiError, nats.errors.Error, TimeoutError, KeyError):
            leader = (await self.bus.api(f"STREAM.INFO.{stream}"))["cluster"]["leader"]
            if leader:
                return str(leader)
        return self.yard.nodes[0].name

    async def _hit(self, blow: Blow, target: str) -> None:
        if blow.weapon in SIGNALS:
            await self._signal(blow, target)
        elif blow.weapon in WEATHERS:
            await self._weather(blow, self._wires(target))
        elif blow.weapon is Weapon.DISK_FULL:
            await _fill(self._disk(target), blow.seconds)
            if target not in WORKERS:
                # nats-server 2.15 goes on refusing what it once had no room for, until it is started anew.
                await self._signal(replace(blow, weapon=Weapon.TERM), target)
        elif blow.weapon is Weapon.CLOCK:
            await self._clock(blow, target)
        elif blow.weapon is Weapon.MEMORY:
            await _starve(await self._running(target), blow.seconds)
        elif blow.weapon is Weapon.HANG:
            self.yard.orders(target).touch()
        elif target == BLOBS:
            await rot_store(self.bus)
        else:
            await asyncio.to_thread(rot_folder, self.yard.cache(target))

    async def _running(self, target: str) -> int:
        while (pid := self.yard.pid(target)) is None:  # noqa: ASYNC110  # the supervisor tells only when asked
            await asyncio.sleep(LOOK_SECONDS)
        return pid

    async def _signal(self, blow: Blow, target: str) -> None:
        pid = await self._running(target)
        with suppress(ProcessLookupError):
            os.kill(pid, SIGNALS[blow.weapon])
            if blow.weapon is Weapon.STOP:
                await asyncio.sleep(blow.seconds)
                os.kill(pid, signal.SIGCONT)
                return
        port = next((node.port for node in self.yard.nodes if node.name == target), None)
        if port is not None:
            while self.yard.pid(target) == pid or not await is_listening(port):  # noqa: ASYNC110  # it is asked
                await asyncio.sleep(LOOK_SECONDS)

    def _wires(self, target: str) -> Sequence[Wire]:
        """Its own; of a node of the bus those to and from the others."""
        if target in self.yard.wires:
            return [self.yard.wires[target]]
        own = next(node for node in self.yard.nodes if node.name == target)
        back = [node.routes[target] for node in self.yard.nodes if target in node.routes]
        return [*own.routes.values(), *back]

    async def _weather(self, blow: Blow, wires: Sequence[Wire]) -> None:
        for wire in wires:
            wire.set(blow.weapon, blow.amount)
        try:
            await asyncio.sleep(blow.seconds)
        finally:
            for wire in wires:
                wire.set(None)

    def _disk(self, target: str) -> Path:
        found = next((node.folder for node in self.yard.nodes if node.name == target), None)
        return self.yard.cache(target) if found is None else found

    async def _clock(self, blow: Blow, target: str) -> None:
        set_clock(self.yard.clock(target), blow.amount)
        try:
            await asyncio.sleep(blow.seconds)
        finally:
            set_clock(self.yard.clock(target), 0.0)


async def _fill(folder: Path, seconds: float) -> None:
    await asyncio.to_thread(fill, folder)
    try:
        await asyncio.sleep(seconds)
    finally:
        clear(folder)


def _memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


async def _starve(pid: int, seconds: float) -> None:
    with suppress(ProcessLookupError, FileNotFoundError):
        has = _memory_bytes(pid)
        resource.prlimit(pid, resource.RLIMIT_AS, (has + SPARE_BYTES, resource.RLIM_INFINITY))
        await asyncio.sleep(seconds)
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
