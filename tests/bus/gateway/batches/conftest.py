"""Batches of an HTTP client: how a test begins one, sees it end and reads its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bus.conftest import Yard
from tests.bus.gateway.conftest import Door, OpenDoor, uploaded
from tests.bus.streams.conftest import Writing

OVER = {"failed", "completed", "expired", "cancelled"}


def line(custom_id: str, prompt: str | None = None, *, model: str = "base", **more: Any) -> dict[str, Any]:
    body = {"model": model, "prompt": prompt or f"p-{custom_id}", "max_tokens": 40, **more}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body}


def jsonl(lines: Sequence[object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


async def begun(http: httpx.AsyncClient, body: bytes, **more: Any) -> dict[str, Any]:
    file = (await uploaded(http, body))["id"]
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

    await door.yard.wait_until(over)
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
