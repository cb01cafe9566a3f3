"""What the page shows, to whom, and that nothing of it comes from elsewhere (F3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.gateway.conftest import Door, OpenDoor
from tests.bus.gateway.page.browser.conftest import NO_ROOM, Look
from tests.bus.gateway.page.conftest import key_of

from lorayard import Client, JobHandle, Lane
from lorayard_cli.commands.explain import explain
from lorayard_cli.options import Output, YardAddress

pytestmark = pytest.mark.bus

HOSTILE = "\"><img src=x onerror=hit()><script>hit()</script>'&amp;${hit()}"
LONG = "w" * 64
VIEWS = ("", "queues", "adapters", "workers", "jobs", "jobs?state=ended", "dead", "batches")
WITH_ALL_COLORS = ("", "workers", "job", "adapter")


async def test_every_view_is_drawn_from_the_gateway_alone_and_fits_and_is_readable__f3(
    open_door: OpenDoor, yard: Yard, adapters: Path, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await door.admin.aliases.split(f"{ADAPTER}@stable", {"1": 100}, preload_seconds=None)
    await door.admin.strikes.add(tenant="globex", reason="a test")
    async with Client(settings=yard.settings, tenant="globex") as client:
        waiting = await client.submit("hello", lane=Lane.BULK)
    done = await door.admin.submit("hello", adapter=ADAPTER)
    await done.result(30)
    await yard.publish(b"no job at all")
    views = (
        *VIEWS,
        f"job?tenant=globex&job={waiting.id}",
        f"job?tenant=default&job={done.id}",
        f"adapter?name={ADAPTER}",
    )
    eye = await look(door)
    found: list[tuple[str, str, list[str]]] = []
    for path in views:
        await eye.go(path)
        await eye.says("live", "#line")
        await eye.page.locator(".fault:not(:empty)").wait_for(state="detached")
        dark = path.partition("?")[0] in WITH_ALL_COLORS
        for scheme in ("light", "dark") if dark else ("light",):
            await eye.page.emulate_media(color_scheme=scheme)
            rules = () if scheme == "light" else ("color-contrast",)
            if troubles := await eye.troubles(*rules):
                found.append((path, scheme, troubles))
        for width in (800, 360):
            await eye.page.set_viewport_size({"width": width, "height": 700})
            if await eye.page.evaluate(NO_ROOM):
                found.append((path, f"{width} wide", ["wider than its window"]))
        await eye.page.set_viewport_size({"width": 1280, "height": 800})
    assert found == []


async def test_names_of_any_kind_stay_text_and_in_their_place__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    await yard.dispatcher()
    hostile, lasting = HOSTILE[:64], "x" * 400
    handles: list[JobHandle] = []
    for tenant in (hostile, LONG):
        async with Client(settings=yard.settings, tenant=tenant) as client:
            handles.append(
                await client.submit(HOSTILE, task=HOSTILE, correlation_id=HOSTILE.replace(" ", "/"))
            )
    await door.admin.strikes.add(tenant=hostile, reason=f"{HOSTILE} {lasting}")
    await door.admin.control.pause("tenant", LONG, reason=lasting)
    eye = await look(door)
    await eye.page.evaluate("() => { window.hit = () => { throw new Error('hit') } }")
    await eye.says(hostile, ".holds")
    for path, within in (
        ("queues", "tbody"),
        ("jobs", "tbody"),
        ("", ".holds"),
    ):
        await eye.go(path)
        await eye.says(hostile, within)
        for width in (360, 1280):
            await eye.page.set_viewport_size({"width": width, "height": 700})
            assert not await eye.page.evaluate(NO_ROOM), (path, width)
            assert await eye.page.locator("main img, main script").count() == 0
    await eye.go("jobs")
    for handle, tenant in zip(handles, (hostile, LONG), strict=True):
        await eye.page.get_by_role("link", name=handle.id).click()
        await eye.says(tenant, ".facts")
        await eye.says(f"job {handle.id}", ".sentence")
        assert not await eye.page.evaluate(NO_ROOM)
        await eye.page.go_back()
    odd = "job?tenant=%22%3E%3Cimg%20src=x%3E&job=%3Cimg%20src=x%20onerror=hit()%3E"
    for path in (odd, "adapter?name=%3Cimg%20src=x%3E", "__proto__", "jobs?state=%3Cb%3E", "constructor?x"):
        await eye.go(path)
        assert await eye.page.locator("main img").count() == 0


@pytest.mark.parametrize("role", ["operator", "tenant"])
async def test_a_key_opens_what_its_role_may_and_a_revoked_one_nothing__f3(
    open_door: OpenDoor, yard: Yard, look: Look, role: str
) -> None:
    door: Door = await open_door(gateway_page="operate")
    await yard.dispatcher()
    for tenant in ("acme", "globex"):
        async with Client(settings=yard.settings, tenant=tenant) as client:
            await client.submit("hello", adapter=ADAPTER)
            await client.submit("hello")
    key = await key_of(door, role=role)
    eye = await look(door)
    field = eye.page.locator("input#key")
    await field.fill("ly-000000000000-nobody")
    await eye.page.keyboard.press("Enter")
    await eye.page.locator(".login .fault:not(:empty)").wait_for()
    assert await eye.troubles() == []
    await field.fill(key)
    await eye.page.keyboard.press("Enter")
    await eye.says("live", "#line")
    tabs = await eye.page.locator("#tabs a").all_inner_texts()
    assert ("Workers" in tabs) is (role != "tenant")
    await eye.go("queues")
    await eye.says("acme", "tbody")
    # Not where jobs name no adapter: what fits just those fits all of that tenant.
    assert await eye.page.get_by_role("button", name="Cancel all").count() == (2 if role == "operator" else 0)
    assert await eye.page.locator("tbody").filter(has_text="globex").count() == (role != "tenant")
    assert await eye.page.evaluate("document.cookie") == ""
    await door.admin.keys.revoke(key.split("-")[1])
    await field.wait_for()
    assert "globex" not in await eye.page.content()


async def test_who_logs_out_leaves_nothing_on_the_screen(open_door: OpenDoor, look: Look) -> None:
    door: Door = await open_door(gateway_page="read")
    eye = await look(door, await key_of(door, role="viewer"))
    await eye.says("live", "#line")
    await eye.page.get_by_role("button", name="Log out").click()
    await eye.page.locator("input#key").wait_for()
    await eye.page.reload()
    await eye.page.locator("input#key").wait_for()


async def test_a_page_to_look_at_has_nothing_to_press__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        handle = await client.submit("hello")
    eye = await look(door)
    await eye.says("read only", "#viewer")
    for path in ("queues", "jobs", f"job?tenant=acme&job={handle.id}"):
        await eye.go(path)
        await eye.says("acme", "main")
        told = await eye.page.locator("main button:not(.sort)").all_inner_texts()
        assert told == [], path


async def test_a_job_in_the_browser_is_told_as_explain_tells_it__b11(
    open_door: OpenDoor, yard: Yard, adapters: Path, look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    async with Client(settings=yard.settings, tenant="acme") as client:
        handle = await client.submit("hello", adapter=ADAPTER)
        await handle.result(30)
        eye = await look(door, path=f"job?tenant=acme&job={handle.id}")
        await eye.says("→ w1", "summary")
        address = YardAddress(url=yard.settings.url, prefix=yard.settings.prefix)
        await explain(handle.id, tenant="acme", yard=address, output=Output(json=True))
        explained = json.loads(capsys.readouterr().out.splitlines()[-1])
        told = await eye.page.locator(".sentence").inner_text()
        assert "; it went there" in told
        assert told.partition("; it")[2] == explained["sentence"].partition("; it")[2], "but for its age"
        kinds = [
            (await step.get_attribute("class") or "").removeprefix("step ")
            for step in await eye.page.locator(".step").all()
        ]
        assert kinds == ["published", "assigned", "started", "ended"]
        (record,) = explained["records"]
        shown = await eye.page.locator("details .facts dd").all_inner_texts()
        named = ("dispatcher", "plan", "phase", "source", "worker", "rule", "waited_ms")
        told_there = {str(record[name]).removesuffix(".0") for name in named}  # a browser writes 3.0 as 3
        assert told_there | set(record["adapter"].values()) <= set(shown)
