"""Files that HTTP clients upload: kept in the yard, each by its tenant, whole or not at all (E7, D7)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.bus.conftest import Yard
from tests.bus.gateway.conftest import LINES, Door, OpenDoor, uploaded

from lorayard_gateway.files.store import PART_BYTES, PARTS_STORE, FileStore
from lorayard_schemas.file_record import FilePurpose
from lorayard_shared.registry.inventory import Inventory, take_inventory
from lorayard_shared.registry.objects import Objects

pytestmark = [pytest.mark.bus, pytest.mark.timeout(60)]


@pytest.fixture
async def files_door(open_door: OpenDoor) -> Door:
    door: Door = await open_door()
    return door


async def stored(yard: Yard) -> Inventory:
    return await take_inventory(yard.bus, PARTS_STORE)


async def test_a_file_is_read_as_it_was_written_at_any_gateway__e7(
    files_door: Door, open_door: OpenDoor
) -> None:
    other: Door = await open_door()
    body = os.urandom(2 * PART_BYTES + 17)
    async with files_door.http() as http, other.http() as elsewhere:
        told = await uploaded(http, body, 'odd "näme"\n.jsonl')
        assert (told["object"], told["bytes"], told["purpose"]) == ("file", len(body), "batch")
        assert told["expires_at"] - told["created_at"] == 30 * 86_400
        shown = (await elsewhere.get(f"/v1/files/{told['id']}")).json()
        assert shown == told
        content = await elsewhere.get(f"/v1/files/{told['id']}/content")
        assert content.content == body
        assert int(content.headers["content-length"]) == len(body)
        assert (await elsewhere.delete(f"/v1/files/{told['id']}")).json()["deleted"]
        for path in ("", "/content"):
            gone = await http.get(f"/v1/files/{told['id']}{path}")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "file_not_found")


async def test_an_empty_file_is_a_file__e7(files_door: Door) -> None:
    async with files_door.http() as http:
        told = await uploaded(http, b"")
        assert told["bytes"] == 0
        assert (await http.get(f"/v1/files/{told['id']}/content")).content == b""


async def test_files_are_listed_in_pages_that_outlive_deletions__e7(files_door: Door) -> None:
    async with files_door.http() as http:
        made = [(await uploaded(http))["id"] for _ in range(5)]
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = (await http.get("/v1/files", params={"limit": "2", **after})).json()
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            for one in page["data"]:
                found.append(one["id"])
                await http.delete(f"/v1/files/{one['id']}")
            after = {"after": page["last_id"]}
            if not page["has_more"]:
                break
        assert found == made[::-1]
        empty = (await http.get("/v1/files")).json()
        assert (empty["data"], empty["has_more"], empty["first_id"]) == ([], False, None)
        made = [(await uploaded(http))["id"] for _ in range(2)]
        oldest_first = (await http.get("/v1/files", params={"order": "asc"})).json()["data"]
        assert [one["id"] for one in oldest_first] == made
        assert (await http.get("/v1/files", params={"purpose": "assistants"})).json()["data"] == []


async def test_a_file_of_another_tenant_does_not_exist__d7(files_door: Door) -> None:
    key = (await files_door.admin.keys.add("other")).key
    async with files_door.http() as http, files_door.http({"Authorization": f"Bearer {key}"}) as stranger:
        told = await uploaded(http)

        async def let_in() -> bool:
            return (await stranger.get("/v1/files")).status_code == 200

        await files_door.yard.wait_until(let_in)
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            answer = await stranger.request(method, f"/v1/files/{told['id']}{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")
        assert (await stranger.get("/v1/files")).json()["data"] == []
        assert (await http.get(f"/v1/files/{told['id']}/content")).content == LINES


@pytest.mark.parametrize("file_id", ["x", "file-*", "%3E", "file-1.2", "..", "file-%00", "a%20b"])
async def test_an_id_that_is_none_is_unknown__e7(files_door: Door, file_id: str) -> None:
    async with files_door.http() as http:
        await uploaded(http)
        for method in ("GET", "DELETE"):
            assert (await http.request(method, f"/v1/files/{file_id}")).status_code == 404


FORM = {"data": {"purpose": "batch"}, "files": {"file": ("a", b"x")}}


@pytest.mark.parametrize(
    ("form", "status", "param"),
    [
        ({**FORM, "data": {}}, 400, "purpose"),
        ({**FORM, "data": {"purpose": "fine-tune"}}, 400, "purpose"),
        ({**FORM, "data": {"purpose": "batch", "what": "1"}}, 400, "what"),
        ({**FORM, "data": {"purpose": ["batch", "batch"]}}, 400, "purpose"),
        ({**FORM, "data": {"purpose": "b" * 9999}}, 400, "purpose"),
        ({**FORM, "data": {"purpose": "batch", "expires_after[seconds]": "3600"}}, 400, "expires_after"),
        (
            {
                **FORM,
                "data": {
                    "purpose": "batch",
                    "expires_after[anchor]": "created_at",
                    "expires_after[seconds]": "1",
                },
            },
            400,
            "expires_after[seconds]",
        ),
        ({"data": {"purpose": "batch"}, "files": {"other": ("a", b"x")}}, 400, "other"),
        (
            {"data": {"purpose": "batch"}, "files": [("file", ("a", b"x")), ("file", ("b", b"x"))]},
            400,
            "file",
        ),
        ({"data": {"purpose": "batch", "file": "no file"}, "files": {"purpose": ("a", b"x")}}, 400, None),
        ({"json": {"purpose": "batch"}}, 415, None),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 415, None),
        ({"content": b"rubbish", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, None),
        (
            {
                "content": b"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            400,
            None,
        ),
    ],
)
async def test_a_form_that_cannot_be_taken_is_refused_and_leaves_nothing__e7(
    files_door: Door, form: dict[str, Any], status: int, param: str | None
) -> None:
    async with files_door.http() as http:
        answer = await http.post("/v1/files", **form)
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert error["type"] == "invalid_request_error"
        if param is not None:
            assert error["param"] == param
        assert (await http.get("/v1/files")).json()["data"] == []
    await files_door.yard.wait_until(lambda: _nothing(files_door.yard))


async def _nothing(yard: Yard) -> bool:
    return (await stored(yard)).objects == ()


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_max_file_bytes=PART_BYTES + 1)

    async def pieces(count: int) -> AsyncIterator[bytes]:
        yield (
            b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        for _ in range(count // 1024):
            yield bytes(1024)
        yield bytes(count % 1024) + b"\r\n--x--\r\n"

    head = {"content-type": "multipart/form-data; boundary=x"}
    async with door.http() as http:
        fits = await http.post("/v1/files", content=pieces(PART_BYTES + 1), headers=head)
        assert fits.status_code == 200, fits.text
        over = await http.post("/v1/files", content=pieces(PART_BYTES + 2), headers=head)
        assert (over.status_code, over.json()["error"]["code"]) == (413, "file_too_large")
        told = await http.post("/v1/files", data={"purpose": "batch"}, files={"file": bytes(2 * PART_BYTES)})
        assert told.status_code == 413
        await http.delete(f"/v1/files/{fits.json()['id']}")
    await door.yard.wait_until(lambda: _nothing(door.yard))


async def _begin_upload(door: Door, sent: bytes) -> asyncio.StreamWriter:
    host, _, port = door.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {door.key}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999999\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
        + sent
    )
    await writer.drain()
    return writer


async def test_an_upload_that_breaks_off_leaves_nothing__e7(files_door: Door) -> None:
    writer = await _begin_upload(files_door, bytes(2 * PART_BYTES))

    async def parts_lie_there() -> bool:
        return len((await stored(files_door.yard)).objects) == 2

    await files_door.yard.wait_until(parts_lie_there)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()
    await files_door.yard.wait_until(lambda: _nothing(files_door.yard))
    async with files_door.http() as http:
        assert (await http.get("/v1/files")).json()["data"] == []


async def test_an_upload_that_stands_still_is_ended__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_body_seconds=0.3)
    writer = await _begin_upload(door, bytes(PART_BYTES))

    async def ended() -> bool:
        return door.gateway.uploads.count == 0 and await _nothing(door.yard)

    await door.yard.wait_until(lambda: door.gateway.uploads.count == 1)
    await door.yard.wait_until(ended)
    writer.close()


async def test_what_a_killed_gateway_left_is_swept_and_files_stay__e7(files_door: Door) -> None:
    store = FileStore(files_door.yard.bus)
    async with files_door.http() as http:
        told = await uploaded(http)
        await store.begin().add(bytes(PART_BYTES))  # and nobody keeps or drops it
        assert await store.sweep() == 0, "it may be under way"
        assert await store.sweep(older_than_seconds=-1.0) == PART_BYTES
        assert [one.size_bytes for one in (await stored(files_door.yard)).objects] == [len(LINES)]
        assert (await http.get(f"/v1/files/{told['id']}/content")).content == LINES


async def test_a_file_whose_time_is_over_is_gone__e7(files_door: Door) -> None:
    store = FileStore(files_door.yard.bus)
    writing = store.begin()
    await writing.add(LINES)
    record = await writing.keep("acme", "a", FilePurpose.BATCH, keep_seconds=0.0)
    async with files_door.http() as http:
        assert (await http.get(f"/v1/files/{record.id}")).status_code == 404
        assert (await http.get("/v1/files")).json()["data"] == []
    assert await store.sweep() == len(LINES)
    assert await _nothing(files_door.yard)


async def test_a_damaged_file_is_never_given_out_as_whole__e7(files_door: Door) -> None:
    body = os.urandom(PART_BYTES + 1)
    async with files_door.http() as http:
        told = await uploaded(http, body)
        found = (await stored(files_door.yard)).objects
        second = next(one for one in found if one.name.endswith("/1"))
        await Objects(files_door.yard.bus, PARTS_STORE).put(second.name, b"?")
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"/v1/files/{told['id']}/content")
        await Objects(files_door.yard.bus, PARTS_STORE).remove(found[0].name)
        await Objects(files_door.yard.bus, PARTS_STORE).remove(second.name)
        answer = await http.get(f"/v1/files/{told['id']}/content")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "file_damaged")


async def test_a_full_store_says_so_and_serves_again__e7(open_door: OpenDoor, yard: Yard) -> None:
    door: Door = await open_door()
    stream = f"OBJ_{yard.bus.subjects.bucket(PARTS_STORE)}"
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "max_bytes": 3 * 2**20})
    async with door.http() as http:
        told = await uploaded(http, bytes(PART_BYTES))
        full = await http.post(
            "/v1/files", data={"purpose": "batch"}, files={"file": os.urandom(4 * PART_BYTES)}
        )
        assert (full.status_code, full.json()["error"]["code"]) == (507, "store_full")
        assert (await http.get(f"/v1/files/{told['id']}/content")).content == bytes(PART_BYTES)

        async def taken() -> bool:
            answer = await http.post(
                "/v1/files", data={"purpose": "batch"}, files={"file": bytes(PART_BYTES)}
            )
            return answer.status_code == 200

        await door.yard.wait_until(taken)
