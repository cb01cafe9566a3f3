"""The page as somebody works with it: live, by keys, through cuts, and with many jobs at once (F3)."""

from __future__ import annotations

import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard
from tests.bus.gateway.conftest import Door, OpenDoor, local, opened
from tests.bus.gateway.page.browser.conftest import Look
from tests.bus.records import advert

from lorayard import Client, GenerateRequest, Lane
from lorayard_schemas import headers
from lorayard_schemas.codec import encode

pytestmark = pytest.mark.bus

LATER = """() => {
    const was = performance.now.bind(performance);
    performance.now = () => was() + 60000;
}"""
FOCUSED = "document.activeElement?.id || document.activeElement?.textContent"


async def test_what_changes_is_shown_and_read_out_without_a_reload__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    eye = await look(door)
    await eye.says("no dispatcher", "#says")
    await yard.dispatcher()
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.submit_many([GenerateRequest("hello")] * 3)
    tile = eye.page.locator(".tile").filter(has_text="Unfinished")
    await tile.filter(has_text="3").wait_for()
    await yard.worker()
    await tile.filter(has_text="0").wait_for()
    await eye.says("All is well", ".verdict")
    await eye.says("All is well again", "#says")


async def test_the_keyboard_alone_leads_everywhere__f3(open_door: OpenDoor, yard: Yard, look: Look) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        report = await client.submit_many([GenerateRequest(f"{n}", lane=Lane.BULK) for n in range(3)])
    eye = await look(door)
    press, page = eye.page.keyboard.press, eye.page
    await eye.says("live", "#line")
    await press("Tab")
    assert await page.evaluate(FOCUSED) == "Skip to the content"
    await press("Enter")
    assert await page.evaluate(FOCUSED) == "main"
    await press("5")
    await page.wait_for_url("**/#/jobs")
    assert await page.evaluate(FOCUSED) == "main", "what is new is read from its beginning"
    await eye.says(report.handles[2].id, "tbody")
    await press("/")
    await page.keyboard.type(f"job:{report.handles[1].id}")
    await eye.says("1 of 3", ".count")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")
    await press("Escape")
    first = page.locator("tbody a").first
    await first.focus()
    await press("ArrowDown")
    assert await page.evaluate(FOCUSED) == await page.locator("tbody tr:not(.space) a").nth(1).inner_text()
    told = await page.evaluate(FOCUSED)
    await press("Enter")
    await eye.says(told, "h1")
    await press("Escape")
    await page.wait_for_url("**/#/jobs*")
    await press("?")
    help_page = page.get_by_role("dialog", name="Keys")
    await help_page.wait_for()
    assert await eye.troubles() == []
    await press("Escape")
    await help_page.wait_for(state="detached")


async def test_who_has_come_to_a_line_by_keys_stays_there_while_the_list_changes__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="many") as many:
        await many.submit_many([GenerateRequest(f"{n}", adapter=ADAPTER) for n in range(3)])
    async with Client(settings=yard.settings, tenant="few") as few:
        handle = await few.submit("hello", adapter=ADAPTER)
        eye = await look(door, path="queues")
        await eye.says("few", "tbody")
        rows = eye.page.locator("tbody tr:not(.space)")
        await rows.nth(1).get_by_role("button", name="Cancel all").focus()
        await few.submit_many([GenerateRequest(f"{n}", adapter=ADAPTER) for n in range(7)])
        await rows.nth(1).filter(has_text="8").wait_for()
        assert await eye.page.evaluate(FOCUSED) == "Cancel"
        await eye.go(f"job?tenant=few&job={handle.id}")
        cancel = eye.page.get_by_role("button", name="Cancel the job")
        await cancel.focus()
        before = await eye.page.locator(".sentence").inner_text()
        await eye.page.locator(".sentence").filter(has_not_text=before).wait_for()
        assert await cancel.evaluate("button => button === document.activeElement")


async def test_a_bus_that_is_away_is_told_and_its_return_too__f3(
    own_yard: Yard, own_server: RunningServer, look: Look
) -> None:
    async with opened(local(own_yard.settings, gateway_page="operate", gateway_keys=False)) as (url, gateway):
        admin = Client(settings=own_yard.settings)
        door = Door(url=url, key="", gateway=gateway, yard=own_yard, admin=admin)
        eye = await look(door)
        await eye.says("live", "#line")
        own_server.kill()
        await eye.says("The yard cannot be read", "#away")
        await eye.says("no yard", "#line")
        assert await eye.page.locator(".tile").count() > 0, "how it was is still there"
        await eye.go("jobs")
        await eye.page.locator(".fault:not(:empty)").wait_for()
        own_server.start()
        await eye.page.locator("#away").wait_for(state="hidden")
        await eye.says("live", "#line")
        await eye.page.locator(".fault:not(:empty)").wait_for(state="detached")


async def test_a_worker_that_is_paused_and_a_line_that_stands_are_told__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await yard.dispatcher()
    await yard.worker()
    await door.admin.control.pause("worker", "w1", reason="new fans")
    eye = await look(door)
    await eye.says("paused", ".crew")
    await eye.says("live", "#line")
    (feed,) = [task for task in door.gateway.watching if task.get_name() == "gateway-page"]
    feed.cancel()
    await eye.page.evaluate(LATER)
    await eye.says("nothing new", "#line")


async def test_a_worker_that_is_gone_without_a_word_is_red_and_one_in_trouble_is_heard__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    eye = await look(door)

    async def beat(name: str, trouble: str = "") -> None:
        told = advert(name).model_copy(update={"trouble": trouble})
        subject = f"$KV.{yard.bus.subjects.bucket('workers')}.{name}"
        await yard.bus.js.publish(subject, encode(told), headers={headers.TTL: "5"})

    await beat("w1")
    gone = eye.page.locator(".crew .worker.bad[data-worker=w1]")
    await gone.filter(has_text="lost").filter(has_text="not heard").wait_for()
    await eye.says("worker w1 is gone without a word")

    shown: list[str] = []

    async def is_told() -> bool:
        await beat("w2", trouble="its engine hangs")
        shown.append(await eye.page.locator(".crew .worker[data-worker=w2]").inner_text())
        return "in trouble" in shown[-1]

    await yard.wait_until(is_told)
    assert "not heard" not in shown[-1]


async def test_a_gateway_that_is_away_is_told_and_its_return_too__f3(yard: Yard, look: Look) -> None:
    settings = local(yard.settings, gateway_page="read", gateway_keys=False)
    admin = Client(settings=yard.settings)
    async with opened(settings) as (url, gateway):
        eye = await look(Door(url=url, key="", gateway=gateway, yard=yard, admin=admin))
        await eye.says("live", "#line")
    await eye.says("reconnecting", "#line")
    await eye.says("The gateway does not answer", "#away")
    again = settings.model_copy(update={"gateway_port": int(url.rpartition(":")[2])})
    async with opened(again):
        await eye.says("live", "#line")
        await eye.page.locator("#away").wait_for(state="hidden")


async def test_all_that_match_are_named_by_their_number_before_they_end__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.submit_many([GenerateRequest(f"{n}", lane=Lane.BULK) for n in range(7)])
        spared = await client.submit("spared", lane=Lane.HIGH)
        eye = await look(door, path="jobs?tenant=acme&lane=bulk")
        page = eye.page
        await eye.says("7", ".count")
        await page.get_by_role("button", name="Cancel all that match").click()
        question = page.get_by_role("dialog", name="Cancel 7 jobs?")
        await question.wait_for()
        await eye.says("tenant acme, lane bulk", "dialog")
        assert await eye.troubles() == []
        await page.keyboard.press("Escape")
        await question.wait_for(state="detached")
        assert await yard.left() == 8, "nothing was confirmed"
        await page.get_by_role("button", name="Cancel all that match").click()
        await question.wait_for()
        late = await client.submit("late", lane=Lane.BULK)
        await question.get_by_role("button", name="Cancel 7 jobs").click()
        await eye.says("7 jobs cancelled", "#toasts")
        for handle in (spared, late):
            assert await yard.stored(handle.id) is None, "it was not among those that were named"


async def test_with_a_filter_only_what_is_listed_ends__f3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        report = await client.submit_many([GenerateRequest(f"{n}") for n in range(3)])
        later = await client.submit("later", delay_seconds=600.0)
    eye = await look(door, path="jobs?tenant=acme")
    cancel_all = eye.page.get_by_role("button", name="Cancel all that match")
    await eye.says("3", ".count")
    await eye.page.locator("#filter").fill(f"job:{report.handles[1].id}")
    await eye.says("1 of 3", ".count")
    await cancel_all.click()
    await eye.page.get_by_role("button", name="Cancel 1 job", exact=True).click()
    await eye.says("1 job cancelled", "#toasts")
    await eye.go("jobs?state=delayed")
    await eye.says(later.id, "tbody")
    await cancel_all.click()
    await eye.page.get_by_role("dialog", name="Cancel 1 job?").get_by_role("button").last.click()
    await eye.page.locator(".toast").nth(1).wait_for()
    stored = [await yard.stored(one.id) for one in (*report.handles, later)]
    assert [one is not None for one in stored] == [False, True, False, True]
