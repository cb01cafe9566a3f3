"""Whoever runs a batch may stop, hang or lose the bus: each line is answered once, and it ends (E6, E7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import nats.errors
import pytest
from tests.bus.conftest import RunningServer, Yard
from tests.bus.gateway.batches.conftest import OVER, answer, begun, ended, jsonl, line, read, shown
from tests.bus.gateway.conftest import Door, OpenDoor, local, opened
from tests.bus.streams.conftest import Writing

from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.batches.errors import RunLostError
from lorayard_gateway.batches.leases import Leases
from lorayard_gateway.batches.run import BatchRun, Tools
from lorayard_gateway.files.store import PARTS_STORE, FileStore, FileWriting, new_file_id
from lorayard_gateway.record_bucket import RecordBucket
from lorayard_schemas.batch_record import BatchRecord
from lorayard_schemas.file_record import FilePurpose, FileRecord, file_key
from lorayard_shared.bus.connection import Bus

pytestmark = [pytest.mark.bus, pytest.mark.timeout(90)]


async def test_another_gateway_goes_on_where_one_has_stopped__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    names = [f"n{number}" for number in range(8)]
    settings = local(door.yard.settings, gateway_batches_dir=tmp_path)
    async with door.http() as http, AsyncExitStack() as held:
        batch = await begun(http, jsonl([line(name) for name in names]))
        async with opened(settings):
            await door.yard.wait_until(lambda: all(f"p-{name}" in engine for name in names))
            answer(engine, *(f"p-{name}" for name in names[:3]))
            before = engine.key("p-n5")
        assert not list(tmp_path.glob("gateway-*")), "a gateway that stops in order leaves nothing"
        answer(engine, "p-n3")  # while nobody runs the batch
        await held.enter_async_context(opened(settings))
        assert engine.key("p-n5") == before
        answer(engine, *(f"p-{name}" for name in names[4:]))
        told = await ended(door, http, batch)
        assert told["status"] == "completed"
        assert told["request_counts"] == {"total": 8, "completed": 8, "failed": 0}
        assert told["error_file_id"] is None
        assert (await read(http, told["output_file_id"])).keys() == set(names)
    assert await door.yard.left("results") == len(names), "nothing was asked twice"


async def test_a_runner_that_was_held_up_changes_nothing_of_the_next_one__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    bus, book = door.yard.bus, BatchBook(door.yard.bus)
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "ab"]))
        record = await book.find("acme", batch["id"])
        assert record is not None
        tools = Tools(
            yard=await door.gateway.client("acme"),
            files=FileStore(bus),
            book=book,
            settings=door.gateway.settings,
        )
        running: list[asyncio.Task[BatchRecord]] = []
        for name in ("held-up", "next"):
            folder = tmp_path / name
            folder.mkdir()
            running.append(asyncio.create_task(BatchRun(tools, record, folder).run()))
            await door.yard.wait_until(lambda: "p-a" in engine and "p-b" in engine)
            await door.yard.wait_until(lambda at=folder: (at / "out.jsonl.batch" / "batch.json").exists())
        answer(engine, "p-a", "p-b")
        ends = await asyncio.gather(*running, return_exceptions=True)
        assert isinstance(ends[0], RunLostError)
        told = await shown(http, batch)
        assert (told["status"], told["request_counts"]["completed"]) == ("completed", 2)
        assert (await read(http, told["output_file_id"])).keys() == {"a", "b"}
        assert len((await http.get("/v1/files")).json()["data"]) == 2
    assert await door.yard.left("results") == 2


async def test_a_gateway_without_a_disk_leaves_batches_to_others__e7(
    batch_door: Door, open_door: OpenDoor, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    broken: Door = await open_door(gateway_batches_dir=tmp_path / "file" / "none")
    async with batch_door.http() as http:
        batches = [await begun(http, jsonl([line("a")])) for _ in range(4)]
        for batch in batches:
            assert (await ended(batch_door, http, batch))["status"] == "completed"
    async with broken.http() as http:
        assert (await http.get("/v1/batches")).status_code == 200, "it serves on"


async def test_a_bus_that_restarts_delays_a_batch_and_no_more__e7(
    own_yard: Yard, own_server: RunningServer, tmp_path: Path
) -> None:
    engine = Writing()
    await own_yard.dispatcher()
    await own_yard.worker(engine=engine)
    settings = local(own_yard.settings, gateway_batches_dir=tmp_path, gateway_keys=False, tenant="acme")
    async with opened(settings) as (url, _), httpx.AsyncClient(base_url=url, timeout=30) as http:
        batch = await begun(http, jsonl([line(name) for name in "abc"]))
        await own_yard.wait_until(lambda: all(f"p-{name}" in engine for name in "abc"))
        answer(engine, "p-a")
        own_server.kill()
        answer(engine, "p-b")
        own_server.start()

        async def serves() -> bool:
            return (await http.get(f"/v1/batches/{batch['id']}")).status_code == 200

        await own_yard.wait_until(serves)
        found: dict[str, Any] = {}

        async def over() -> bool:
            if "p-c" in engine:
                answer(engine, "p-c")
            for name in "ab":
                if f"p-{name}" in engine:
                    answer(engine, f"p-{name}")
            found.update(await shown(http, batch))
            return found.get("status") in OVER

        await own_yard.wait_until(over, seconds=60)
        assert (found["status"], found["request_counts"]["completed"]) == ("completed", 3)
        assert (await read(http, found["output_file_id"])).keys() == {"a", "b", "c"}


async def test_answers_that_find_no_room_are_stored_once_there_is_some__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_dir=tmp_path)
    stream = f"OBJ_{door.yard.bus.subjects.bucket(PARTS_STORE)}"
    async with door.http() as http:
        batch = await begun(http, jsonl([line("a")]))
        await door.yard.wait_until(lambda: "p-a" in engine)
        config = (await door.yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
        await door.yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "max_bytes": 1})
        answer(engine, "p-a")

        async def held_up() -> bool:
            return bool((await shown(http, batch))["status"] == "finalizing")

        await door.yard.wait_until(held_up)
        await door.yard.bus.api(f"STREAM.UPDATE.{stream}", config)
        told = await ended(door, http, batch)
        assert (await read(http, told["output_file_id"])).keys() == {"a"}
        assert len((await http.get("/v1/files")).json()["data"]) == 2


async def test_a_batch_has_one_runner_at_a_time_and_a_late_one_changes_nothing__e7(
    door: Door, tmp_path: Path
) -> None:
    bus = door.yard.bus
    one, other = Leases(bus, "one"), Leases(bus, "other")
    batch = "batch_" + "0" * 26
    lease = await one.take(batch)
    assert lease is not None
    assert await other.take(batch) is None
    await lease.release()
    taken = await other.take(batch)
    assert taken is not None
    with pytest.raises(RunLostError):
        await lease.keep()
    await taken.release()
    book, yard = BatchBook(bus), await door.gateway.client("acme")
    idle: Door = door
    async with idle.http() as http:
        begun_batch = await begun(http, jsonl([line("a")]))
        told = await ended(door, http, begun_batch)
    record = await book.find("acme", told["id"])
    assert record is not None
    tools = Tools(yard=yard, files=FileStore(bus), book=book, settings=door.gateway.settings)
    late = BatchRun(tools, record, tmp_path)
    assert (await late.run()) == record, "what has ended stays as it is"


async def test_a_lease_that_is_not_renewed_is_anothers_soon__e7(yard: Yard) -> None:
    dead, living = Leases(yard.bus, "dead"), Leases(yard.bus, "living")
    batch = "batch_" + "0" * 26
    assert await dead.take(batch) is not None

    async def taken() -> bool:
        return await living.take(batch) is not None

    assert not await taken()
    await yard.wait_until(taken, seconds=20)


async def test_a_result_that_is_kept_no_more_is_answered_again__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    settings = local(door.yard.settings, gateway_batches_dir=tmp_path)
    jobs, results = (door.yard.bus.subjects.stream(kind) for kind in ("jobs", "results"))
    # The bus knows a job's key for two minutes, which no test waits for.
    config = (await door.yard.bus.api(f"STREAM.INFO.{jobs}"))["config"]
    await door.yard.bus.api(f"STREAM.UPDATE.{jobs}", {**config, "duplicate_window": 10**8})
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "ab"]))
        async with opened(settings):
            await door.yard.wait_until(lambda: "p-a" in engine and "p-b" in engine)
            answer(engine, "p-a")

            async def one() -> bool:
                return bool((await shown(http, batch))["request_counts"]["completed"] == 1)

            await door.yard.wait_until(one)
            before = engine.key("p-b")
        await door.yard.bus.api(f"STREAM.PURGE.{results}")
        async with opened(settings):
            await door.yard.wait_until(lambda: "p-a" in engine)
            assert engine.key("p-b") == before, "what is under way is not asked again"
            answer(engine, "p-a", "p-b")
            told = await ended(door, http, batch)
        assert (told["status"], told["error_file_id"]) == ("completed", None)
        assert told["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
        assert (await read(http, told["output_file_id"])).keys() == {"a", "b"}


async def test_an_input_whose_time_ends_first_stays_for_its_batch__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    bus, reader_of = door.yard.bus, door.gateway.batches.reader_of
    store, records = FileStore(bus), RecordBucket(bus, "files", FileRecord)
    async with door.http() as http:
        batch = await begun(http, jsonl([line("a")]))
        file: str = batch["input_file_id"]
        await records.change(
            file_key("acme", file), lambda one: one.model_copy(update={"expires_at": one.created_at})
        )
        assert await store.find("acme", file) is None
        await door.yard.wait_until(lambda: reader_of(file) == batch["id"])
        assert await store.sweep(reader_of) == 0
        async with opened(local(door.yard.settings, gateway_batches_dir=tmp_path)):
            await door.yard.wait_until(lambda: "p-a" in engine)
            answer(engine, "p-a")
            assert (await ended(door, http, batch))["status"] == "completed"
    await door.yard.wait_until(lambda: reader_of(file) is None)
    assert await store.sweep(reader_of) > 0


class LateWriting(FileWriting):
    """Is a file when the test says so."""

    go_on: asyncio.Event

    async def keep(
        self, tenant: str, name: str, purpose: FilePurpose, *, keep_seconds: float | None
    ) -> FileRecord:
        await self.go_on.wait()
        return await super().keep(tenant, name, purpose, keep_seconds=keep_seconds)


class LateStore(FileStore):
    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.go_on = asyncio.Event()

    def begin(self, file_id: str | None = None, *, size_bytes: int = 0) -> FileWriting:
        writing = LateWriting(self._objects, self._records, file_id or new_file_id())
        writing.go_on = self.go_on
        return writing


async def test_files_of_a_runner_that_was_held_up_while_it_stored_them_go_again__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    bus, book = door.yard.bus, BatchBook(door.yard.bus)
    late = LateStore(bus)
    yard, settings = await door.gateway.client("acme"), door.gateway.settings
    async with door.http() as http:
        batch = await begun(http, jsonl([line("a")]))
        record = await book.find("acme", batch["id"])
        assert record is not None
        runs: list[BatchRun] = []
        for name, store in (("late", late), ("next", FileStore(bus))):
            (tmp_path / name).mkdir()
            tools = Tools(yard=yard, files=store, book=book, settings=settings)
            runs.append(BatchRun(tools, record, tmp_path / name))
        held_up = asyncio.create_task(runs[0].run())
        await door.yard.wait_until(lambda: "p-a" in engine)
        answer(engine, "p-a")

        async def storing() -> bool:
            return bool((await shown(http, batch))["status"] == "finalizing")

        await door.yard.wait_until(storing)
        done = await runs[1].run()
        late.go_on.set()
        with pytest.raises(RunLostError):
            await held_up
        assert done.ending is not None
        listed = {one["id"] for one in (await http.get("/v1/files")).json()["data"]}
        assert listed == {batch["input_file_id"], done.ending.output_file_id}
        assert (await read(http, done.ending.output_file_id)).keys() == {"a"}


class DeafBook(BatchBook):
    """Changes nothing while the test says so."""

    deaf = False
    refused = 0

    async def change(
        self, tenant: str, batch_id: str, changed: Callable[[BatchRecord], BatchRecord]
    ) -> BatchRecord | None:
        if self.deaf:
            self.refused += 1
            raise nats.errors.TimeoutError
        return await super().change(tenant, batch_id, changed)


async def test_a_run_goes_on_though_nobody_hears_how_far_it_is__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    book = DeafBook(door.yard.bus)
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "ab"]))
        record = await book.find("acme", batch["id"])
        assert record is not None
        tools = Tools(
            yard=await door.gateway.client("acme"),
            files=FileStore(door.yard.bus),
            book=book,
            settings=door.gateway.settings,
        )
        running = asyncio.create_task(BatchRun(tools, record, tmp_path).run())
        await door.yard.wait_until(lambda: "p-a" in engine and "p-b" in engine)
        book.deaf = True
        answer(engine, "p-a")
        await door.yard.wait_until(lambda: book.refused or running.done())
        book.deaf = False
        answer(engine, "p-b")
        done = await running
        assert (done.status, done.run, done.counts.completed) == ("completed", 1, 2)
