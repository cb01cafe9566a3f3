"""A bucket is listed whole, also where nats-py says too early that nothing is in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.js.kv import KeyValue

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket, list_history
from lorayard_shared.bus.watch import BucketWatch

pytestmark = pytest.mark.bus


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every watch ends its listing before the first value, as one of some hundred does by itself."""
    usual = KeyValue.watch  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # nats-py

    class Hasty(KeyValue.KeyWatcher):
        """Tells the end first."""

        def begin(self, watcher: KeyValue.KeyWatcher) -> Hasty:
            self._watcher, self._ended = watcher, False
            return self

        async def updates(self, timeout: float = 5.0) -> KeyValue.Entry | None:  # noqa: ASYNC109  # nats-py's
            if not self._ended:
                self._ended = True
                return None
            told = await self._watcher.updates(timeout)  # type: ignore[no-untyped-call]  # nats-py
            return told if isinstance(told, KeyValue.Entry) else await self.updates(timeout)

        async def stop(self) -> None:
            await self._watcher.stop()  # type: ignore[no-untyped-call]  # nats-py

    async def watch(self: KeyValue, keys: str, **options: Any) -> KeyValue.KeyWatcher:
        hasty = Hasty(self)  # type: ignore[no-untyped-call]  # nats-py
        return hasty.begin(await usual(self, keys, **options))

    async def watchall(self: KeyValue, **options: Any) -> KeyValue.KeyWatcher:
        return await watch(self, ">", **options)

    monkeypatch.setattr(KeyValue, "watch", watch)
    monkeypatch.setattr(KeyValue, "watchall", watchall)


@pytest.fixture(params=[False, True], ids=["usual", "hasty"])
def either(request: pytest.FixtureRequest) -> None:
    """As nats-py usually is, and as it is now and then."""
    if request.param:
        request.getfixturevalue("hasty")


@pytest.mark.usefixtures("either")
async def test_all_values_and_their_past_are_listed(bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("aliases"))
    assert await list_bucket(bucket) == []
    for key, value in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        await bucket.put(key, value)
    await bucket.delete("b")
    assert {entry.key: (entry.operation, entry.value) for entry in await list_bucket(bucket)} == {
        "a": (None, b"3"),
        "b": ("DEL", b""),
    }
    assert [entry.value for entry in await list_history(bucket, "a")] == [b"1", b"3"]
    assert [entry.operation for entry in await list_history(bucket, "b")] == [None, "DEL"]
    assert await list_history(bucket, "c") == []


@pytest.mark.usefixtures("either")
async def test_a_watch_loses_no_value_when_it_lists_again(bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    for key in ("one", "two", "three"):
        await bucket.put(key, b"there")
    told: list[tuple[str, bytes | None]] = []
    four = asyncio.Event()

    def on_change(key: str, value: bytes | None) -> None:
        told.append((key, value))
        if key == "four":
            four.set()

    watch = BucketWatch(bus, bus.subjects.bucket("adapters"), on_change)
    running = asyncio.create_task(watch.run())
    try:
        await watch.ready.wait()
        assert [key for key, _ in told] == ["one", "two", "three"]
        watch.look_again()
        await bucket.put("four", b"there")
        await four.wait()
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert all(value is not None for _, value in told)
