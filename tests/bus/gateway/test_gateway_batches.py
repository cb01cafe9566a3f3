"""Batches of HTTP clients: every line once, whichever gateway runs them, and an end for each (E6, E7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard
from tests.bus.gateway.conftest import Door, OpenDoor, local, opened
from tests.bus.streams.conftest import Writing

from lorayard_gateway.batches.book import BatchBook
from lorayard_gateway.batches.errors import RunLostError
from lorayard_gateway.batches.leases import Leases
from lorayard_gateway.batches.run import BatchRun, Tools
from lorayard_gateway.files.store import PARTS_STORE, FileStore
from lorayard_schemas.batch_record import BatchRecord

pytestmark = [pytest.mark.bus, pytest.mark.timeout(90)]

OVER = {"failed", "completed", "expired", "cancelled"}


def line(custom_id: str, prompt: str | None = None, *, model: str = "base", **more: Any) -> dict[str, Any]:
    body = {"model": model, "prompt": prompt or f"p-{custom_id}", "max_tokens": 40, **more}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body}


def jsonl(lines: Sequence[object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


async def begun(http: httpx.AsyncClient, body: bytes, **more: Any) -> dict[str, Any]:
    files = {"file": ("in.jsonl", body)}
    file = (await http.post("/v1/files", data={"purpose": "batch"}, files=files)).json()["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/completions", "completion_window": "24h", **more}
    answer = await http.post("/v1/batches", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def shown(http: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = (await http.get(f"/v1/batches/{batch['id']}")).json()
    return told


async def ended(door: Door, http: httpx.AsyncClient, batch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def over() -> bool:
        found.update(await shown(http, batch))
        return str(found["status"]) in OVER

    await door.yard.wait_until(over, seconds=40)
    return found


async def read(http: httpx.AsyncClient, file: str | None) -> dict[str, dict[str, Any]]:
    """Lines of a file by their custom_id; none stands twice."""
    if file is None:
        return {}
    raw = (await http.get(f"/v1/files/{file}/content")).text.splitlines()
    told = {one["custom_id"]: one for one in map(json.loads, raw)}
    assert len(told) == len(raw)
    return told


@pytest.fixture
async def batch_door(open_door: OpenDoor, adapters: Path, tmp_path: Path) -> Door:
    """In front of a dispatcher and an echo worker with one adapter."""
    door: Door = await open_door(gateway_batches_dir=tmp_path / "work")
    await door.yard.dispatcher()
    await door.yard.worker(adapters_dir=adapters)
    return door


@pytest.fixture
async def slow(open_door: OpenDoor, yard: Yard) -> tuple[OpenDoor, Writing]:
    """Doors in front of a worker that answers a prompt when the test says so."""
    engine = Writing()
    await yard.dispatcher()
    await yard.worker(engine=engine)
    return open_door, engine


def answer(engine: Writing, *prompts: str) -> None:
    for prompt in prompts:
        engine.say(prompt, "done")
        engine.end(prompt)


async def test_a_batch_is_answered_line_by_line__e7(batch_door: Door, tmp_path: Path) -> None:
    lines = [line(str(number), model=("base", ADAPTER)[number % 2]) for number in range(40)]
    lines += [line("hot", temperature=11), line("gone", model="acme/tiny/none")]
    kept = {"anchor": "created_at", "seconds": 3600}
    async with batch_door.http() as http:
        batch = await begun(http, jsonl(lines), metadata={"a": "b"}, output_expires_after=kept)
        assert (batch["object"], batch["status"], batch["metadata"]) == ("batch", "validating", {"a": "b"})
        assert batch["expires_at"] - batch["created_at"] == 86_400
        told = await ended(batch_door, http, batch)
        assert told["status"] == "completed"
        assert told["request_counts"] == {"total": 42, "completed": 40, "failed": 2}
        times = [told[f"{name}_at"] for name in ("created", "in_progress", "finalizing", "completed")]
        assert times == sorted(times)
        output, errors = await read(http, told["output_file_id"]), await read(http, told["error_file_id"])
        assert output.keys() == {str(number) for number in range(40)}
        assert output["1"]["response"]["body"]["model"] == f"{ADAPTER}@1"
        assert output["1"]["response"]["body"]["choices"][0]["text"] == "p-1"
        assert {one: errors[one]["error"]["code"] for one in errors} == {
            "hot": "invalid_value",
            "gone": "model_not_found",
        }
        file = (await http.get(f"/v1/files/{told['output_file_id']}")).json()
        assert (file["purpose"], file["expires_at"] - file["created_at"]) == ("batch_output", 3600)
        listed = (await http.get("/v1/files", params={"purpose": "batch_output"})).json()["data"]
        assert {one["id"] for one in listed} == {told["output_file_id"], told["error_file_id"]}
        late = await http.post(f"/v1/batches/{batch['id']}/cancel")
        assert (late.status_code, late.json()["error"]["code"]) == (409, "batch_not_cancellable")
    assert not list((tmp_path / "work").glob("*/batch_*")), "nothing stays on the disk"


BAD = [
    (b"no json\n", 1, "invalid_json_line"),
    (b"\n\xff\n", 2, "invalid_utf8"),
    (jsonl([line("a"), line("b"), line("a")]), 3, "duplicate_custom_id"),
    (jsonl([line("a"), {**line("b"), "method": "GET"}]), 2, "invalid_method"),
    (jsonl([line("a"), {**line("b"), "url": "/v1/embeddings"}]), 2, "invalid_url"),
    (
        jsonl(
            [
                {
                    **line("b"),
                    "url": "/v1/chat/completions",
                    "body": {"model": "base", "messages": [{"role": "user", "content": "x"}]},
                }
            ]
        ),
        1,
        "invalid_url",
    ),
    (jsonl([line("a"), {**line("b"), "custom_id": None}]), 2, "missing_custom_id"),
    (b"", None, "empty_file"),
    (b"\n\n", None, "empty_file"),
    (jsonl([line(str(number)) for number in range(6)]), None, "too_many_lines"),
]


@pytest.mark.parametrize(("body", "number", "code"), BAD, ids=[one[2] + str(len(one[0])) for one in BAD])
async def test_a_batch_that_is_none_fails_and_names_the_line__e7(
    open_door: OpenDoor, tmp_path: Path, body: bytes, number: int | None, code: str
) -> None:
    door: Door = await open_door(gateway_batches_dir=tmp_path, gateway_batch_lines=5)
    async with door.http() as http:
        told = await ended(door, http, await begun(http, body))
        assert (told["status"], told["output_file_id"], told["error_file_id"]) == ("failed", None, None)
        assert told["failed_at"] >= told["created_at"]
        assert [(one["line"], one["code"]) for one in told["errors"]["data"]] == [(number, code)]
        assert told["errors"]["data"][0]["message"]


async def test_what_is_answered_stays_when_a_batch_is_cancelled__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_dir=tmp_path)
    names = [f"n{number}" for number in range(6)]
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in names]))
        await door.yard.wait_until(lambda: all(f"p-{name}" in engine for name in names))
        held = await http.delete(f"/v1/files/{batch['input_file_id']}")
        assert (held.status_code, held.json()["error"]["code"]) == (409, "file_in_use")
        answer(engine, "p-n0", "p-n1")

        async def two() -> bool:
            return bool((await shown(http, batch))["request_counts"]["completed"] == 2)

        await door.yard.wait_until(two)
        asked = await http.post(f"/v1/batches/{batch['id']}/cancel")
        assert (asked.status_code, asked.json()["status"]) == (200, "cancelling")
        told = await ended(door, http, batch)
        assert (told["status"], told["expired_at"]) == ("cancelled", None)
        assert told["cancelled_at"] >= told["cancelling_at"] >= told["in_progress_at"]
        assert told["request_counts"] == {"total": 6, "completed": 2, "failed": 4}
        assert (await read(http, told["output_file_id"])).keys() == {"n0", "n1"}
        errors = await read(http, told["error_file_id"])
        assert errors.keys() == set(names[2:])
        assert {one["error"]["code"] for one in errors.values()} == {"batch_cancelled"}
        assert (await http.delete(f"/v1/files/{batch['input_file_id']}")).status_code == 200
    assert not any(f"p-{name}" in engine for name in names), "its jobs were cancelled"


async def test_what_is_answered_stays_when_the_window_ends__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_dir=tmp_path, gateway_batch_seconds=3.0)
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "abc"]))
        await door.yard.wait_until(lambda: "p-a" in engine)
        answer(engine, "p-a")
        told = await ended(door, http, batch)
        assert (told["status"], told["completed_at"]) == ("expired", None)
        assert told["expired_at"] >= told["expires_at"]
        assert told["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
        assert (await read(http, told["output_file_id"])).keys() == {"a"}
        errors = await read(http, told["error_file_id"])
        assert {name: one["error"]["code"] for name, one in errors.items()} == {
            "b": "batch_expired",
            "c": "batch_expired",
        }
        assert all(one["response"] is None for one in errors.values())


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


async def test_a_batch_that_nobody_runs_is_cancelled_by_the_next_gateway__e7(
    slow: tuple[OpenDoor, Writing], tmp_path: Path
) -> None:
    open_door, engine = slow
    door: Door = await open_door(gateway_batches_at_once=0)
    settings = local(door.yard.settings, gateway_batches_dir=tmp_path)
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "abcd"]))
        unborn = await begun(http, jsonl([line("x")]))
        async with opened(settings):
            await door.yard.wait_until(lambda: all(f"p-{name}" in engine for name in "abcdx"))
        answer(engine, "p-b")
        await door.yard.wait_until(lambda: _is(door.yard.left("results"), 1))
        waiting = await begun(http, jsonl([line("y")]))
        for one in (batch, unborn, waiting):
            assert (await http.post(f"/v1/batches/{one['id']}/cancel")).json()["status"] == "cancelling"
        async with opened(settings):
            told = await ended(door, http, batch)
            assert (told["status"], told["request_counts"]["completed"]) == ("cancelled", 1)
            assert (await read(http, told["output_file_id"])).keys() == {"b"}
            assert (await read(http, told["error_file_id"])).keys() == {"a", "c", "d"}
            told = await ended(door, http, waiting)
            assert (told["status"], told["output_file_id"], told["error_file_id"]) == (
                "cancelled",
                None,
                None,
            )
            await ended(door, http, unborn)
        assert not any(f"p-{name}" in engine for name in "acdxy")


async def _is(count: Any, wanted: int) -> bool:
    return bool(await count == wanted)


async def test_a_batch_of_another_tenant_does_not_exist__d7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    stranger: Door = await open_door("other", gateway_batches_at_once=0)
    async with door.http() as http, stranger.http() as theirs:
        batch = await begun(http, jsonl([line("a")]))
        for method, path in (("GET", ""), ("POST", "/cancel")):
            refused = await theirs.request(method, f"/v1/batches/{batch['id']}{path}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "batch_not_found")
        assert (await theirs.get("/v1/batches")).json()["data"] == []
        asked = {
            "input_file_id": batch["input_file_id"],
            "endpoint": "/v1/completions",
            "completion_window": "24h",
        }
        stolen = await theirs.post("/v1/batches", json=asked)
        assert (stolen.status_code, stolen.json()["error"]["param"]) == (404, "input_file_id")
        assert (await shown(http, batch))["status"] == "validating"


async def test_batches_are_listed_in_pages_the_newest_first__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http() as http:
        made = [(await begun(http, jsonl([line("a")])))["id"] for _ in range(5)]
        first = (await http.get("/v1/batches", params={"limit": 2})).json()
        assert (first["has_more"], first["last_id"]) == (True, made[3])
        rest = (await http.get("/v1/batches", params={"after": made[3]})).json()
        assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
        assert not rest["has_more"]
        for query in ({"limit": "0"}, {"limit": "x"}, {"after": "batch_1"}):
            assert (await http.get("/v1/batches", params=query)).status_code == 400


FINE = {"input_file_id": "file-" + "0" * 26, "endpoint": "/v1/completions", "completion_window": "24h"}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (FINE, 404, "input_file_id"),
        ({**FINE, "input_file_id": "file-*"}, 404, "input_file_id"),
        ({**FINE, "input_file_id": "\ud800"}, 400, "input_file_id"),
        ({**FINE, "endpoint": "/v1/embeddings"}, 400, "endpoint"),
        ({**FINE, "completion_window": "1h"}, 400, "completion_window"),
        ({**FINE, "metadata": {"a": 1}}, 400, "metadata.a"),
        ({**FINE, "metadata": {"a": "\ud800"}}, 400, "metadata.a"),
        ({**FINE, "metadata": {str(number): "" for number in range(17)}}, 400, "metadata"),
        ({**FINE, "what": 1}, 400, "what"),
        ([], 400, "body"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused_by_its_field__e7(
    open_door: OpenDoor, body: Any, status: int, param: str
) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http({**door.headers, "content-type": "application/json"}) as http:
        refused = await http.post("/v1/batches", content=json.dumps(body))
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)


async def test_a_batch_is_made_once_under_its_key__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http() as http:
        file = (await begun(http, jsonl([line("a")])))["input_file_id"]
        asked, key = {**FINE, "input_file_id": file}, {"idempotency-key": "k"}
        made = [(await http.post("/v1/batches", json=asked, headers=key)).json() for _ in range(2)]
        assert made[0] == made[1]
        other = await http.post("/v1/batches", json={**asked, "metadata": {"a": "b"}}, headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
        listed = (await http.get("/v1/batches")).json()["data"]
        assert (len(listed), listed[0]) == (2, made[0]), "in the order of time, whatever the ids"


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


async def test_an_output_is_no_input__e7(batch_door: Door) -> None:
    async with batch_door.http() as http:
        told = await ended(batch_door, http, await begun(http, jsonl([line("a")])))
        refused = await http.post("/v1/batches", json={**FINE, "input_file_id": told["output_file_id"]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input_file_id")


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
