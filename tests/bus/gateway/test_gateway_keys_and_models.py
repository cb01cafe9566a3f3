"""Who is let in, as which tenant, and which models that one may know (E7, D7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.gateway.conftest import Door, OpenDoor, chat, local, new_key

from lorayard_shared.errors import SettingsError

pytestmark = pytest.mark.bus


async def ids(door: Door, key: str | None = None) -> list[str]:
    headers = door.headers if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=door.url, headers=headers) as http:
        told = (await http.get("/v1/models")).json()
    return [one["id"] for one in told["data"]]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_api_key"),
        ({"Authorization": ""}, "missing_api_key"),
        ({"Authorization": "Basic YTpi"}, "missing_api_key"),
        ({"Authorization": "Bearer"}, "missing_api_key"),
        ({"Authorization": "Bearer sk-nothing"}, "invalid_api_key"),
        ({"Authorization": "Bearer ly-000000000000-x"}, "invalid_api_key"),
        ({"Authorization": "Bearer ly--"}, "invalid_api_key"),
    ],
)
async def test_without_a_key_that_holds_nothing_is_told__e7(
    open_door: OpenDoor, headers: dict[str, str], code: str
) -> None:
    door: Door = await open_door()
    async with httpx.AsyncClient(base_url=door.url, headers=headers) as http:
        for answer in (await http.get("/v1/models"), await http.post("/v1/chat/completions", json=chat("x"))):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == code
            assert answer.json()["error"]["type"] == "invalid_request_error"
        assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_revoked_key_is_out_at_once__e7(
    open_door: OpenDoor, wait_until: Callable[..., Awaitable[None]]
) -> None:
    door: Door = await open_door()
    made = await door.admin.keys.add("acme")

    async def status() -> int:
        headers = {"Authorization": f"Bearer {made.key}"}
        async with httpx.AsyncClient(base_url=door.url, headers=headers) as http:
            return (await http.get("/v1/models")).status_code

    async def is_in() -> bool:
        return await status() == 200

    async def is_out() -> bool:
        return await status() == 401

    await wait_until(is_in)
    await door.admin.keys.revoke(made.record.id)
    await wait_until(is_out)


async def test_models_are_the_base_adapters_and_aliases_that_a_tenant_may_use__d7(door: Door) -> None:
    await door.admin.aliases.split(f"{ADAPTER}@stable", {"1": 100}, preload_seconds=None)
    expected = ["base", "auto", ADAPTER, f"{ADAPTER}@stable"]

    async def there() -> bool:
        return await ids(door) == expected

    await door.yard.wait_until(there)
    async with door.http() as http:
        card = (await http.get(f"/v1/models/{ADAPTER}")).json()
        assert (card["object"], card["owned_by"], card["parent"]) == ("model", "acme", "base")
        (version,) = card["lorayard"]["versions"]
        assert (version["version"], version["rank"]) == ("1", (await door.yard.record(ADAPTER)).rank)
        assert card["lorayard"]["aliases"] == [{"alias": "stable", "shares": {"1": 100.0}}]
        assert (await http.get(f"/v1/models/{ADAPTER}@1")).json()["root"] == ADAPTER
        for unknown in ("acme/tiny/none", f"{ADAPTER}@2", "x", f"{ADAPTER}@beta"):
            answer = await http.get(f"/v1/models/{unknown}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_adapter_of_other_tenants_does_not_exist__d7(door: Door) -> None:
    await door.admin.adapters.amend(f"{ADAPTER}@1", tenants=["other"])
    other = await new_key(door, "other")

    async def hidden() -> bool:
        return ADAPTER not in await ids(door)

    await door.yard.wait_until(hidden)
    assert ADAPTER in await ids(door, other)
    async with door.http() as http:
        assert (await http.get(f"/v1/models/{ADAPTER}")).status_code == 404
        answer = await http.post("/v1/chat/completions", json=chat("x") | {"model": ADAPTER})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_without_keys_only_programs_of_this_machine_are_served__e7(
    open_door: OpenDoor, yard: Yard
) -> None:
    door: Door = await open_door(gateway_keys=False)
    await yard.dispatcher()
    await yard.worker()

    async def status(**headers: str) -> int:
        async with httpx.AsyncClient(base_url=door.url, headers=headers) as http:
            return (await http.post("/v1/chat/completions", json=chat("hello"))).status_code

    assert await status() == 200
    # A page of evil.example that has its name lead to 127.0.0.1, and one that just posts there.
    assert await status(host="evil.example") == 403
    assert await status(origin="https://evil.example") == 403
    for host in ("[", "127.0.0.1/x", "127.0.0.1@evil.example", "localhost.evil.example"):
        assert await status(host=host) == 403, host
    for host in ("LOCALHOST:1", "[::1]"):
        assert await status(host=host) == 200, host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])
async def test_without_keys_it_listens_nowhere_else__e7(yard: Yard, host: str) -> None:
    with pytest.raises(SettingsError, match="LORAYARD_GATEWAY_KEYS"):
        local(yard.settings, gateway_keys=False, gateway_host=host).check()


async def test_pages_of_a_browser_are_let_in_only_where_they_are_named__e7(open_door: OpenDoor) -> None:
    closed: Door = await open_door()
    opened: Door = await open_door(gateway_origins="https://other.example, https://app.example")
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    headers: list[Any] = []
    for door in (closed, opened):
        async with httpx.AsyncClient(base_url=door.url) as http:
            headers.append((await http.options("/v1/chat/completions", headers=asked)).headers)
    assert "access-control-allow-origin" not in headers[0]
    assert headers[1]["access-control-allow-origin"] == "https://app.example"


async def test_tenants_share_a_connection_and_nothing_else__e7(door: Door) -> None:
    other = await new_key(door, "other")
    await asyncio.gather(*(ids(door, key) for key in (door.key, other)))

    async def told(key: str) -> str:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "same"}
        async with httpx.AsyncClient(base_url=door.url, headers=headers, timeout=30) as http:
            answer = (await http.post("/v1/chat/completions", json=chat("hello"))).json()
        job: str = answer["lorayard"]["answers"][0]["job"]
        return job

    jobs = [await told(door.key), await told(other), await told(door.key)]
    assert jobs[0] == jobs[2] != jobs[1]
    assert await door.yard.stored(jobs[1], tenant="other") is not None
    assert await door.yard.stored(jobs[1], tenant="acme") is None
