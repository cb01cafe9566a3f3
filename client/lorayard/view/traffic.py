"""Traffic by adapter version over the last minute, from results as they are announced.

Heard only while somebody looks: a yard announces thousands of results a second, each with its text. Of each
second the first ones are read; how much more came is told by how little time they took.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import nats.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.snapshot import AdapterTraffic
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.value import value

ASKED_SECONDS = 30.0
"""After the last question nothing is heard any more."""

WINDOW_SECONDS = 1.0
KEPT_SECONDS = 60.0

SAMPLED_MOST = 100
"""Results read in a second, at 50 us each."""

SAMPLED_BYTES = 2**21
"""The same for long texts."""

_FAILED = frozenset({ResultState.FAILED, ResultState.EXPIRED})


@value
class Sample:
    """One result."""

    adapter: str
    """`name@version`."""
    milliseconds: float
    """From publish to result."""
    failed: bool


@value
class Window:
    """What was heard in one second."""

    at: float
    """Monotonic seconds."""
    heard_seconds: float
    """Until as many were heard as are read."""
    samples: tuple[Sample, ...]


class Traffic:
    """Hears the results of one yard."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._windows: deque[Window] = deque()
        self._asked = float("-inf")
        self._wanted = asyncio.Event()

    def table(self) -> dict[str, AdapterTraffic]:
        """By `name@version`; from here on it is heard for a while."""
        self._asked = time.monotonic()
        self._wanted.set()
        return traffic_of(self._windows, self._asked)

    async def run(self) -> None:
        """Hear until cancelled."""
        while True:
            await self._wanted.wait()
            self._windows.clear()
            while time.monotonic() - self._asked < ASKED_SECONDS:
                try:
                    self._windows.append(await self._window())
                except nats.errors.Error:  # the bus is away
                    await asyncio.sleep(WINDOW_SECONDS)
                while self._windows and time.monotonic() - self._windows[0].at > KEPT_SECONDS:
                    self._windows.popleft()
            self._wanted.clear()

    async def _window(self) -> Window:
        began, size = time.monotonic(), 0
        heard: list[bytes] = []
        full = asyncio.Event()

        def take(message: Heard) -> None:
            nonlocal size
            if not full.is_set():
                heard.append(message.data)
                size += len(message.data)
            if len(heard) >= SAMPLED_MOST or size >= SAMPLED_BYTES:
                full.set()

        hearing = await self._bus.nc.hear(self._bus.subjects.done_all, take)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WINDOW_SECONDS):
                    await full.wait()
        finally:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()
        heard_seconds = max(0.001, time.monotonic() - began)
        samples = tuple(sample for body in heard if (sample := read_sample(body)) is not None)
        await asyncio.sleep(max(0.0, began + WINDOW_SECONDS - time.monotonic()))
        return Window(at=began, heard_seconds=heard_seconds, samples=samples)


def read_sample(body: bytes) -> Sample | None:
    """What one result tells; None: it ran on no adapter, or cannot be read."""
    try:
        result = decode(JobResult, body)
    except MalformedMessageError:
        return None
    maker = result.maker
    if maker is None or maker.adapter is None or maker.version is None:
        return None
    return Sample(
        adapter=f"{maker.adapter}@{maker.version}",
        milliseconds=max(0.0, result.timings.waited_ms + result.timings.total_ms),
        failed=result.state in _FAILED,
    )


def traffic_of(windows: Iterable[Window], now: float) -> dict[str, AdapterTraffic]:
    """By `name@version`, of windows that began within the last minute."""
    last = [window for window in windows if now - window.at <= KEPT_SECONDS]
    seconds = len(last) * WINDOW_SECONDS
    times: dict[str, list[float]] = {}
    counts: dict[str, float] = {}
    failures: dict[str, int] = {}
    for window in last:
        share = WINDOW_SECONDS / min(window.heard_seconds, WINDOW_SECONDS)
        for sample in window.samples:
            times.setdefault(sample.adapter, []).append(sample.milliseconds)
            counts[sample.adapter] = counts.get(sample.adapter, 0.0) + share
            failures[sample.adapter] = failures.get(sample.adapter, 0) + sample.failed
    return {adapter: _of(times[adapter], counts[adapter] / seconds, failures[adapter]) for adapter in times}


def _of(times: list[float], per_second: float, failed: int) -> AdapterTraffic:
    times.sort()
    return AdapterTraffic(
        per_second=per_second,
        errors=failed / len(times),
        p50_ms=times[(len(times) - 1) // 2],
        p95_ms=times[min(len(times) - 1, int(0.95 * len(times)))],
    )
