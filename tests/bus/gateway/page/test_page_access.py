"""Who sees the page, who acts on it, and that no other page can (F3, G5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx
import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.gateway.conftest import Door, OpenDoor
from tests.bus.gateway.page.conftest import MARK, events, key_of, page

from lorayard import Client, InvalidRequestError
from lorayard_gateway.page import listing, turns
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import Lying, walk

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]

DEED = {"deed": "pause", "kind": "lane", "name": "bulk", "reason": "a test"}
READS = ("viewer", "events", "jobs", "job?tenant=acme&job=j", "texts?tenant=acme&job=j", "dead")


async def test_without_the_setting_there_is_no_page(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    async with page(door, door.key, accept="text/html") as http:
        for path in ("/", "/ui", "/ui/", "/ui/js/main.js", "/ui/api/viewer"):
            assert (await http.get(path)).status_code == 404


async def test_files_are_for_anybody_and_let_nothing_else_in(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="read")
    async with page(door, None, accept="text/html") as http:
        assert (await http.get("/")).headers["location"] == "/ui/"
        index = await http.get("/ui/")
        assert index.status_code == 200
        policy = index.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert index.headers["x-frame-options"] == "DENY"
        tag = {"if-none-match": index.headers["etag"]}
        assert (await http.get("/ui/", headers=tag)).status_code == 304
        assert (await http.get("/ui/js/main.js")).headers["content-type"].startswith("text/javascript")
        for path in (
            "/ui/../settings.py",
            "/ui/%2e%2e/routes.py",
            "/ui/js",
            "/ui/none.js",
            "/ui/vendor/uPlot.LICENSE",
        ):
            assert (await http.get(path)).status_code == 404, path


async def test_no_key_sees_nothing__g5(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="operate")
    for key in (None, "x", "ly-000000000000-x"):
        async with page(door, key) as http:
            for path in READS:
                assert (await http.get(f"/ui/api/{path}")).status_code == 401, path
            assert (await http.post("/ui/api/act", json=DEED)).status_code == 401


async def test_a_key_is_kept_where_no_script_reads_it__g5(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="read")
    async with page(door, None) as http:
        wrong = await http.post("/ui/api/login", json={"key": "ly-000000000000-x"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        kept = (await http.post("/ui/api/login", json={"key": door.key})).headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/ui"} <= set(kept.split("; "))
        for proxies, secure in (("https", True), ("https, http", True), ("http", False)):
            through = {"x-forwarded-proto": proxies}
            answer = await http.post("/ui/api/login", json={"key": door.key}, headers=through)
            assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure, proxies
        assert (await http.get("/ui/api/viewer")).json()["tenant"] == "acme"
        await http.post("/ui/api/logout", json={})
        assert (await http.get("/ui/api/viewer")).status_code == 401


@pytest.mark.parametrize(
    ("mode", "role", "may"),
    [
        ("operate", "operator", True),
        ("operate", "viewer", False),
        ("operate", "tenant", False),
        ("read", "operator", False),
    ],
)
async def test_only_operators_act_and_only_where_the_page_lets_them__g5(
    open_door: OpenDoor, mode: str, role: str, may: bool
) -> None:
    door: Door = await open_door(gateway_page=mode)
    async with page(door, await key_of(door, role=role)) as http:
        assert (await http.get("/ui/api/viewer")).json()["may_act"] is may
        answer = await http.post("/ui/api/act", json=DEED)
    paused = [one.name for one in (await door.admin.control.list()).pauses]
    assert (answer.status_code, paused) == ((200, ["bulk"]) if may else (403, []))


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
async def test_another_page_neither_reads_nor_acts__g5(open_door: OpenDoor, headers: dict[str, str]) -> None:
    for keys in (True, False):
        door: Door = await open_door(gateway_page="operate", gateway_keys=keys)
        key = await key_of(door) if keys else None
        async with page(door, key, **headers) as http:
            assert (await http.get("/ui/api/viewer")).status_code == 403
            assert (await http.post("/ui/api/act", json=DEED)).status_code == 403
            assert (await http.post("/ui/api/login", json={"key": door.key})).status_code == 403
    assert not (await door.admin.control.list()).pauses


async def test_a_form_of_another_page_lacks_the_mark__g5(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="operate")
    cookies = {"lorayard_key": await key_of(door)}
    async with httpx.AsyncClient(base_url=door.url, cookies=cookies) as http:
        assert (await http.post("/ui/api/act", json=DEED)).status_code == 403
        answer = await http.post("/ui/api/act", data={"deed": "pause"}, headers=MARK)
        assert answer.status_code == 415


async def test_without_keys_this_machine_alone_is_served_and_its_own_scripts_act__g5(
    open_door: OpenDoor,
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    own = {"origin": door.url, "sec-fetch-site": "same-origin"}
    async with page(door, None, **own) as http:
        assert (await http.get("/ui/api/viewer")).json()["role"] == "operator"
        assert (await http.post("/ui/api/act", json=DEED)).status_code == 200
        rebound = {"host": "evil.example", "origin": "http://evil.example"}
        assert (await http.get("/ui/api/viewer", headers=rebound)).status_code == 403


async def test_one_tenants_pages_leave_room_for_others__g5(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_gateway.page.events.MOST_OF_TENANT", 1)
    door: Door = await open_door(gateway_page="read")
    viewer = await key_of(door, role="viewer")
    async with page(door, door.key) as http, events(http) as stream:
        await anext(stream)
        refused = await http.get("/ui/api/events")
        assert (refused.status_code, "1 pages of tenant acme" in refused.text) == (503, True)
        async with page(door, viewer) as others, events(others) as more:
            assert (await anext(more)).name == "whole"


async def test_a_revoked_key_ends_its_stream(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="read")
    made = await door.admin.keys.add("acme", role="viewer")
    await door.yard.wait_until(lambda: door.gateway.keys.find(made.key, 0.0) is not None)
    async with page(door, made.key) as http, events(http) as stream:
        assert (await anext(stream)).name == "whole"
        await door.admin.keys.revoke(made.record.id)
        names = [event.name async for event in stream]
        assert names[-1] == "bye"


async def test_a_tenants_key_shows_no_other_tenants_jobs__g5(open_door: OpenDoor, yard: Yard) -> None:
    door: Door = await open_door(gateway_page="operate")
    async with Client(settings=yard.settings, tenant="other") as other:
        handle = await other.submit("secret", adapter=ADAPTER)
        async with page(door, door.key) as http:
            assert (await http.get("/ui/api/jobs")).json() == {"jobs": [], "more": False}
            for path in ("jobs", "dead", f"job?job={handle.id}", f"texts?job={handle.id}"):
                joined = f"/ui/api/{path}{'&' if '?' in path else '?'}tenant=other"
                assert (await http.get(joined)).status_code == 404, path
            async with events(http) as stream:
                told = [(await anext(stream)).data]
                while not any(one.get("head") for one in told):  # before the first reading nothing is told
                    told.append((await anext(stream)).data)
                assert "other" not in str(told)
        async with page(door, await key_of(door, role="viewer")) as http:
            assert [one["job"] for one in (await http.get("/ui/api/jobs")).json()["jobs"]] == [handle.id]
            assert "secret" not in (await http.get(f"/ui/api/job?tenant=other&job={handle.id}")).text


@pytest.mark.parametrize("role", ["", "admin", "OPERATOR"])
async def test_a_role_that_there_is_not_is_refused(open_door: OpenDoor, role: str) -> None:
    door: Door = await open_door()
    with pytest.raises(InvalidRequestError, match="role"):
        await door.admin.keys.add("acme", role=role)


async def test_so_many_reads_of_one_tenants_keys_run_at_once_and_others_pass__g5(
    open_door: OpenDoor, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 2)
    monkeypatch.setattr(turns, "WAITING", 1)
    begun, go = list[str](), asyncio.Event()

    async def slowly(bus: Bus, kind: str, subject: str) -> AsyncGenerator[list[Lying]]:
        begun.append(subject)
        await go.wait()
        async for found in walk(bus, kind, subject):
            yield found

    monkeypatch.setattr(listing, "walk", slowly)
    door: Door = await open_door(gateway_page="read")
    second, viewer = await key_of(door, role="tenant"), await key_of(door, role="viewer")
    async with page(door, door.key) as http, page(door, second) as another, page(door, viewer) as free:
        async with asyncio.TaskGroup() as asked:
            first = [asked.create_task(one.get("/ui/api/jobs")) for one in (http, another)]
            try:
                await wait_until(lambda: len(begun) == 2)
                rest = [asked.create_task(one.get("/ui/api/dead")) for one in (http, another)]
                answered, waits = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
                (answer,) = [await one for one in answered]
                assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_reads")
                assert int(answer.headers["retry-after"]) >= 1
                first += [asked.create_task(free.get("/ui/api/jobs")) for _ in range(4)]
                await wait_until(lambda: len(begun) == 6)  # who sees all waits for nobody
                async with page(door, await key_of(door, "globex", role="tenant")) as others:
                    assert (await others.get("/ui/api/dead")).status_code == 200
                assert not any(one.done() for one in (*first, *waits))
            finally:
                go.set()  # whatever is wrong, they end
        assert {(await one).status_code for one in (*first, *waits)} == {200}
        assert (await http.get("/ui/api/dead")).status_code == 200, "none of them stands in the way any more"
