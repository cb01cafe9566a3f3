"""Batches that end early, by a cancel or by their window: what was answered stays (E6, E7)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.bus.gateway.batches.conftest import answer, begun, ended, jsonl, line, read, shown
from tests.bus.gateway.conftest import Door, OpenDoor, local, opened
from tests.bus.streams.conftest import Writing

from lorayard_gateway.batches.book import BatchBook

pytestmark = [pytest.mark.bus, pytest.mark.timeout(90)]


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
    door: Door = await open_door(gateway_batches_dir=tmp_path, gateway_batch_seconds=3600.0)
    async with door.http() as http:
        batch = await begun(http, jsonl([line(name) for name in "abc"]))
        assert batch["expires_at"] - batch["created_at"] == 3600
        await door.yard.wait_until(lambda: "p-a" in engine)
        # Its run reads the record again when it tells of the first answer.
        now = {"expires_at": time.time()}
        await BatchBook(door.yard.bus).change("acme", batch["id"], lambda one: one.model_copy(update=now))
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
