"""A watched bucket as a dict: every change arrives, silence counts as gone, a restart leaves no gap (A4)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import nats.js.errors
import pytest

from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Server(Protocol):
    """A server that a test kills and starts again."""

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


class Seen:
    """What a watch has told: the values as they are now, and every change."""

    def __init__(self) -> None:
        self.now: dict[str, bytes] = {}
        self.changes: list[tuple[str, bytes | None]] = []

    def __call__(self, key: str, value: bytes | None) -> None:
        self.changes.append((key, value))
        if value is None:
            self.now.pop(key, None)
        else:
            self.now[key] = value


@asynccontextmanager
async def watching(
    bus: Bus,
    *,
    kind: str = "workers",
    grace_seconds: float = 0.0,
    renewed_seconds: float = math.inf,
    put_back_after_seconds: float = 0.0,
) -> AsyncGenerator[Seen, None]:
    seen = Seen()
    watch = BucketWatch(
        bus,
        bus.subjects.bucket(kind),
        seen,
        gone_grace_seconds=grace_seconds,
        renewed_seconds=renewed_seconds,
        check_seconds=0.3,
        put_back_after_seconds=put_back_after_seconds,
    )
    task = asyncio.create_task(watch.run())
    try:
        await watch.ready.wait()
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


async def beat(
    bus: Bus, key: str, value: bytes, *, kind: str = "workers", seconds: int | None = None
) -> None:
    """As a worker does: `put` has no time to live."""
    headers = {"Nats-TTL": str(seconds)} if seconds is not None else None
    await bus.js.publish(f"$KV.{bus.subjects.bucket(kind)}.{key}", value, headers=headers)


async def delete(bus: Bus, kind: str) -> None:
    """As somebody does by hand."""
    await bus.api(f"STREAM.DELETE.KV_{bus.subjects.bucket(kind)}")


async def value(bus: Bus, kind: str, key: str) -> bytes | None:
    """What a bucket holds."""
    bucket = await bus.js.key_value(bus.subjects.bucket(kind))
    try:
        return (await bucket.get(key)).value
    except nats.js.errors.KeyNotFoundError:
        return None


async def test_a_watch_is_ready_when_it_has_seen_what_was_there(bus: Bus) -> None:
    await beat(bus, "w1", b"one")
    await beat(bus, "w2", b"two")
    async with watching(bus) as seen:
        assert seen.now == {"w1": b"one", "w2": b"two"}


async def test_an_empty_bucket_is_ready_too(bus: Bus) -> None:
    async with watching(bus) as seen:
        assert seen.changes == []


async def test_changes_and_deletes_arrive(bus: Bus, wait_until: WaitUntil) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("workers"))
    async with watching(bus) as seen:
        await beat(bus, "w1", b"one")
        await wait_until(lambda: seen.now == {"w1": b"one"})  # the bucket keeps no history
        await beat(bus, "w1", b"another")
        await wait_until(lambda: seen.now == {"w1": b"another"})
        await bucket.delete("w1")
        await wait_until(lambda: seen.now == {})
        await bucket.purge("w1")
    assert [value for _, value in seen.changes[:3]] == [b"one", b"another", None]


async def test_a_value_that_is_not_renewed_is_gone(bus: Bus, wait_until: WaitUntil) -> None:
    """A worker that was killed deletes nothing: its silence has to show (G1)."""
    async with watching(bus) as seen:
        await beat(bus, "w2", b"two")
        await beat(bus, "w1", b"one", seconds=1)
        await wait_until(lambda: ("w1", b"one") in seen.changes)
        await wait_until(lambda: set(seen.now) == {"w2"})
    assert seen.changes[-1] == ("w1", None)


async def test_a_watch_is_whole_again_after_the_server_was_killed(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    """What changed while it was blind is told too: the new, and the gone."""
    async with (
        await connect(own_settings, name="watcher") as bus,
        await connect(own_settings, name="writer") as writer,
        watching(bus) as seen,
    ):
        await beat(writer, "stays", b"1")
        await beat(writer, "goes", b"1")
        await wait_until(lambda: set(seen.now) == {"stays", "goes"})
        bucket = writer.subjects.bucket("workers")
        await writer.api(
            f"STREAM.PURGE.KV_{bucket}", {"filter": f"$KV.{bucket}.goes"}
        )  # of which no watch hears
        own_server.kill()
        own_server.start()
        await wait_until(lambda: bus.reconnects > 0 and writer.connected)
        await beat(writer, "comes", b"1")
        # nats-py's own watcher would be blind for 19 seconds.
        await wait_until(lambda: set(seen.now) == {"stays", "comes"}, seconds=10)
        await beat(writer, "comes", b"2")
        await wait_until(lambda: seen.now == {"stays": b"1", "comes": b"2"})


async def test_an_outage_longer_than_a_value_lives_is_no_death_of_its_writer(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    """The jobs of a worker that lives on would run twice."""
    async with (
        await connect(own_settings, name="watcher") as bus,
        await connect(own_settings, name="writer") as writer,
        watching(bus, grace_seconds=3.0) as seen,
    ):

        async def both_live() -> bool:  # in this very moment
            for key in ("back", "dead"):
                await beat(writer, key, b"1", seconds=1)
            return set(seen.now) == {"back", "dead"}

        await wait_until(both_live)
        seen.changes.clear()
        own_server.kill()
        await asyncio.sleep(1.5)  # longer than the values live: the time is the point
        own_server.start()
        await wait_until(lambda: bus.reconnects > 0 and writer.reconnects > 0)
        await asyncio.sleep(0.5)  # as a worker between two beats; the server has marked both expired
        await beat(writer, "back", b"2")
        await wait_until(lambda: seen.now == {"back": b"2"}, seconds=10)
    assert ("back", None) not in seen.changes
    assert seen.changes.count(("dead", None)) == 1


async def test_a_value_taken_down_on_purpose_is_gone_without_a_grace(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    async with (
        await connect(own_settings, name="watcher") as bus,
        await connect(own_settings, name="writer") as writer,
        watching(bus, grace_seconds=600.0) as seen,
    ):
        bucket = await writer.js.key_value(writer.subjects.bucket("workers"))
        await beat(writer, "leaves", b"1")
        await wait_until(lambda: set(seen.now) == {"leaves"})
        own_server.kill()
        own_server.start()
        await wait_until(lambda: bus.reconnects > 0 and writer.reconnects > 0)
        await bucket.delete("leaves")
        await wait_until(lambda: seen.now == {}, seconds=10)


async def test_a_watch_that_ends_leaves_no_task_behind(bus: Bus) -> None:
    before = asyncio.all_tasks()
    async with watching(bus):
        pass
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before
    assert not [task for task in left if task.get_name().startswith("watch")]


async def test_a_watch_that_is_given_up_while_it_is_set_up_leaves_nothing_running(bus: Bus) -> None:
    await bus.js.key_value(bus.subjects.bucket("workers"))  # the connection's own task for answers
    before = asyncio.all_tasks()
    watch = BucketWatch(bus, bus.subjects.bucket("workers"), Seen())
    task = asyncio.create_task(watch.run())
    while not any("activity_check" in repr(one) for one in asyncio.all_tasks()):  # noqa: ASYNC110  # nats-py
        await asyncio.sleep(0)  # until it has subscribed, and asks how much there is to come
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_value_that_outlives_its_writer_is_gone_until_it_is_renewed(
    bus: Bus, wait_until: WaitUntil
) -> None:
    await beat(bus, "ghost", b"forever")
    async with watching(bus, renewed_seconds=0.3) as seen:
        assert seen.now == {"ghost": b"forever"}
        await wait_until(lambda: not seen.now)
        await beat(bus, "other", b"beats")
        await wait_until(lambda: seen.changes[-2:] == [("other", b"beats"), ("other", None)])
        assert [key for key, _ in seen.changes].count("ghost") == 2, "listed anew, it is not back"
        await beat(bus, "ghost", b"renewed")
        await wait_until(lambda: "ghost" in seen.now)


async def test_a_bucket_made_anew_is_watched_again_where_values_are_renewed(
    bus: Bus, settings: YardSettings, wait_until: WaitUntil
) -> None:
    await beat(bus, "before", b"1")
    async with watching(bus, renewed_seconds=0.3) as seen:
        await delete(bus, "workers")
        await declare(bus, topology(settings))
        await wait_until(lambda: "before" not in seen.now)
        await beat(bus, "after", b"2")
        await wait_until(lambda: "after" in seen.now)


async def test_a_bucket_that_is_deleted_is_there_again_and_watched(bus: Bus, wait_until: WaitUntil) -> None:
    for number in range(30):  # the new one counts from 1: nothing of it may be skipped
        await beat(bus, "before", str(number).encode())
    async with watching(bus) as seen:
        await delete(bus, "workers")
        await wait_until(lambda: "before" not in seen.now)
        await beat(bus, "after", b"2")
        await wait_until(lambda: seen.now == {"after": b"2"})


@pytest.mark.parametrize("after_seconds", [0.0, 0.5])
async def test_what_nobody_tells_again_is_put_back_into_a_bucket_made_anew(
    bus: Bus, settings: YardSettings, wait_until: WaitUntil, after_seconds: float
) -> None:
    for key in ("kept", "changed", "deleted"):
        await beat(bus, key, b"1", kind="adapters")
    async with watching(bus, kind="adapters", put_back_after_seconds=after_seconds) as seen:
        await (await bus.js.key_value(bus.subjects.bucket("adapters"))).delete("deleted")
        await wait_until(lambda: "deleted" not in seen.now)
        await delete(bus, "adapters")
        await declare(bus, topology(settings))
        await beat(bus, "changed", b"2", kind="adapters")
        await wait_until(lambda: seen.now == {"kept": b"1", "changed": b"2"})

        async def put_back() -> bool:
            return await value(bus, "adapters", "kept") == b"1"

        await wait_until(put_back)
        assert ("kept", None) not in seen.changes, "nobody was told that it is gone"
        assert await value(bus, "adapters", "changed") == b"2"


async def test_a_watch_that_puts_back_late_leaves_it_to_others(
    bus: Bus, settings: YardSettings, wait_until: WaitUntil
) -> None:
    await beat(bus, "kept", b"1", kind="adapters")
    async with watching(bus, kind="adapters", put_back_after_seconds=3600.0) as seen:
        await delete(bus, "adapters")
        await declare(bus, topology(settings))
        await beat(bus, "new", b"2", kind="adapters")
        await wait_until(lambda: "new" in seen.now)
        await beat(bus, "later", b"3", kind="adapters")
        await wait_until(lambda: "later" in seen.now)
        assert await value(bus, "adapters", "kept") is None
        await beat(bus, "kept", b"1", kind="adapters")  # another puts it back
        await beat(bus, "last", b"4", kind="adapters")
        await wait_until(lambda: "last" in seen.now)
        assert ("kept", None) not in seen.changes
        assert seen.now["kept"] == b"1"


async def test_a_watch_that_caught_up_has_heard_all_that_was_written_before(bus: Bus) -> None:
    seen = Seen()
    watch = BucketWatch(bus, bus.subjects.bucket("adapters"), seen)
    task = asyncio.create_task(watch.run())
    try:
        await watch.ready.wait()
        await watch.catch_up()  # of an empty bucket there is nothing to hear
        for number in range(20):
            await beat(bus, f"a{number}", b"x", kind="adapters")
            await watch.catch_up()
            assert f"a{number}" in seen.now
        bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
        await bucket.delete("a0")
        await watch.catch_up()
        assert "a0" not in seen.now
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_who_waits_for_the_news_does_not_wait_for_what_is_there_no_more__d5(bus: Bus) -> None:
    """The newest revision was taken out of the bucket: the listing says that all is known, no change does."""
    name = bus.subjects.bucket("adapters")
    bucket = await bus.js.key_value(name)
    await bucket.put("stays", b"1")
    await bucket.put("leaves", b"1")
    await bus.js.purge_stream(f"KV_{name}", subject=f"$KV.{name}.leaves")
    watch = BucketWatch(bus, name, Seen())
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        running = tasks.create_task(watch.run())
        try:
            await watch.catch_up()
        finally:
            running.cancel()
