"""Room for files: a tenant's share of the store, what a file leaves there, and transfers at once (E7, D7)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import nats.errors
import pytest
from tests.bus.conftest import Yard
from tests.bus.gateway.conftest import LINES, Door, OpenDoor, uploaded

from lorayard_gateway.errors import ApiError
from lorayard_gateway.files.room import TenantRoom
from lorayard_gateway.files.store import PART_BYTES, PARTS_STORE, FileStore, FileWriting, new_file_id
from lorayard_gateway.files.transfers import Transfers
from lorayard_gateway.record_bucket import RecordBucket
from lorayard_schemas.file_record import FilePurpose, FileRecord
from lorayard_shared.bus.bucket_writes import UnansweredError
from lorayard_shared.registry.objects import Objects

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]

FORM = {"content-type": "multipart/form-data; boundary=x"}
HALF = bytes(PART_BYTES // 2)


async def in_pieces(body: bytes, go_on: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """A form that does not say how long it is; its end comes when the test says so."""
    yield (
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    yield body
    if go_on is not None:
        await go_on.wait()
    yield b"\r\n--x--\r\n"


async def messages(yard: Yard) -> int:
    """All that lies in the store, marks of what was there among it."""
    info = await yard.bus.api(f"STREAM.INFO.OBJ_{yard.bus.subjects.bucket(PARTS_STORE)}")
    return int(info["state"]["messages"])


async def test_a_tenant_has_its_share_of_the_store_and_no_more__d7(open_door: OpenDoor) -> None:
    share = {"gateway_tenant_file_bytes": PART_BYTES, "gateway_batches_at_once": 0}
    door: Door = await open_door(**share)
    stranger: Door = await open_door("other", **share)
    async with door.http() as http, stranger.http() as theirs:
        first = await uploaded(http, HALF)
        told = await http.post("/v1/files", data={"purpose": "batch"}, files={"file": HALF + HALF})
        untold = await http.post("/v1/files", content=in_pieces(HALF + b"x"), headers=FORM)
        for refused in (told, untold):
            assert refused.status_code == 403, refused.text
            error = refused.json()["error"]
            assert (error["type"], error["code"]) == ("insufficient_quota", "storage_quota_exceeded")
        assert len((await http.get("/v1/files")).json()["data"]) == 1
        await uploaded(theirs, HALF + HALF)
        asked = {
            "input_file_id": first["id"],
            "endpoint": "/v1/completions",
            "completion_window": "24h",
        }
        key = {"idempotency-key": "k"}
        made = await http.post("/v1/batches", json=asked, headers=key)
        await uploaded(http, HALF)
        full = await http.post("/v1/batches", json=asked)
        assert (full.status_code, full.json()["error"]["code"]) == (403, "storage_quota_exceeded")
        again = await http.post("/v1/batches", json=asked, headers=key)
        assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
        for one in (await http.get("/v1/files")).json()["data"]:
            if one["id"] != first["id"]:
                await http.delete(f"/v1/files/{one['id']}")
        await uploaded(http, HALF)


async def test_uploads_under_way_count_for_a_share__d7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_tenant_file_bytes=PART_BYTES)
    go_on = asyncio.Event()
    async with door.http() as http:
        body = in_pieces(HALF + b"x", go_on)
        coming = asyncio.create_task(http.post("/v1/files", content=body, headers=FORM))
        await door.yard.wait_until(lambda: door.gateway.room.coming_bytes("acme") == len(HALF) + 1)
        late = await http.post("/v1/files", content=in_pieces(HALF), headers=FORM)
        assert (late.status_code, late.json()["error"]["code"]) == (403, "storage_quota_exceeded")
        go_on.set()
        assert (await coming).status_code == 200
        assert door.gateway.room.coming_bytes("acme") == 0
        await uploaded(http, HALF[:-1])


async def test_a_tenant_has_so_many_files_and_no_more__d7(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_gateway.files.room.MOST_FILES", 2)
    door: Door = await open_door()
    room = TenantRoom(FileStore(door.yard.bus), 2**30)
    async with door.http() as http:
        for _ in range(2):
            await uploaded(http)
        assert (await http.post("/v1/files", content=in_pieces(b""), headers=FORM)).status_code == 403
    assert await room.check("other") == 0


async def test_a_deleted_file_leaves_nothing_in_the_store__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    async with door.http() as http:
        told = await uploaded(http, bytes(PART_BYTES + 1))
        assert await messages(door.yard) > 0
        await http.delete(f"/v1/files/{told['id']}")

    async def nothing() -> bool:
        return await messages(door.yard) == 0

    await door.yard.wait_until(nothing)


class Unheard(RecordBucket[FileRecord]):
    """Writes a record, and does not hear that it has."""

    async def create(self, key: str, value: FileRecord) -> int:
        await super().create(key, value)
        raise UnansweredError(key)


async def test_a_file_is_whole_though_nobody_heard_that_it_was_written__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    bus = door.yard.bus
    writing = FileWriting(Objects(bus, PARTS_STORE), Unheard(bus, "files", FileRecord), new_file_id())
    await writing.add(LINES)
    with pytest.raises(UnansweredError):
        await writing.keep("acme", "a", FilePurpose.BATCH, keep_seconds=None)
    await writing.drop()
    async with door.http() as http:
        (told,) = (await http.get("/v1/files")).json()["data"]
        assert (await http.get(f"/v1/files/{told['id']}/content")).content == LINES


class Silent(FileWriting):
    """Of a bus that does not answer."""

    async def add(self, data: bytes) -> None:
        raise nats.errors.TimeoutError


class SilentStore(FileStore):
    def begin(self, file_id: str | None = None, *, size_bytes: int = 0) -> FileWriting:
        return Silent(self._objects, self._records, file_id or new_file_id())


async def test_a_bus_that_does_not_answer_is_not_a_slow_client__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    door.gateway.files = SilentStore(door.yard.bus)
    async with door.http() as http:
        answer = await http.post("/v1/files", data={"purpose": "batch"}, files={"file": LINES})
        assert answer.status_code == 503, answer.text
        assert "retry-after" in answer.headers


async def test_a_tenant_whose_downloads_stand_still_keeps_no_other_out__d7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    door.gateway.downloads = Transfers(2)
    key = (await door.admin.keys.add("other")).key
    other = {"Authorization": f"Bearer {key}"}
    async with door.http() as http, door.http() as slow, door.http(other) as theirs:
        path = f"/v1/files/{(await uploaded(http, bytes(24 * PART_BYTES)))['id']}/content"

        async def let_in() -> bool:
            return (await theirs.get("/v1/files")).status_code == 200

        await door.yard.wait_until(let_in)
        small = f"/v1/files/{(await uploaded(theirs))['id']}/content"
        async with slow.stream("GET", path) as half_read:
            assert half_read.status_code == 200
            busy = await http.get(path)
            assert (busy.status_code, busy.json()["error"]["code"]) == (503, "busy")
            assert "retry-after" in busy.headers
            assert (await theirs.get(small)).content == LINES
        await door.yard.wait_until(lambda: door.gateway.downloads.count == 0)
        assert (await http.get("/v1/files/file-" + "0" * 26 + "/content")).status_code == 404
        assert len((await http.get(path)).content) == 24 * PART_BYTES
    await door.yard.wait_until(lambda: door.gateway.downloads.count == 0)


def test_a_tenant_has_half_of_the_transfers_at_once__d7() -> None:
    transfers = Transfers(4)
    for tenant in "aab":
        transfers.begin(tenant)
    with pytest.raises(ApiError):
        transfers.begin("a")
    transfers.begin("b")
    with pytest.raises(ApiError):
        transfers.begin("c")
    transfers.end("a")
    transfers.begin("c")
    assert transfers.count == 4


async def test_a_file_of_more_than_usual_parts_has_larger_ones__e7(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_gateway.files.store.MAX_PARTS", 2)
    door: Door = await open_door()
    body = os.urandom(2 * PART_BYTES + 1)
    writing = FileStore(door.yard.bus).begin(size_bytes=len(body))
    await writing.add(body)
    record = await writing.keep("acme", "a", FilePurpose.BATCH_OUTPUT, keep_seconds=None)
    assert len(record.parts) == 2
    async with door.http() as http:
        assert (await http.get(f"/v1/files/{record.id}/content")).content == body
