"""What an operator presses is asked for in the words of `lorayard top`, and done (F3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.gateway.conftest import Door, OpenDoor
from tests.bus.gateway.page.browser.conftest import Look
from tests.bus.gateway.page.conftest import bury

from lorayard import Client

pytestmark = pytest.mark.bus


async def test_a_tenant_is_capped_and_the_cap_taken_away__e5(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.submit("hello")
    eye = await look(door, path="queues")
    await eye.page.get_by_role("button", name="Cap this tenant").click()
    question = eye.page.get_by_role("dialog", name="Cap tenant acme?")
    await question.wait_for()
    assert await eye.troubles() == []
    press = question.get_by_role("button", name="Cap", exact=True)
    await press.click()
    assert await question.is_visible(), "it was not said how many"
    await question.locator("#amount").fill("4")
    await question.locator("#why").fill("fair use")
    await press.click()
    await eye.says("tenant acme is capped at 4", "#toasts")
    (cap,) = (await door.admin.control.list()).caps
    assert (cap.label, cap.most, cap.why) == ("tenant acme", 4, "fair use")
    await eye.go("")
    await eye.page.get_by_role("button", name="Uncap tenant acme at 4").click()
    await eye.says("At most 4 of its jobs are at workers at once now", "dialog")
    await eye.page.get_by_role("dialog").get_by_role("button", name="Uncap").click()
    await eye.says("tenant acme has no cap any more", "#toasts")
    assert not (await door.admin.control.list()).caps


async def test_a_version_is_pinned_and_let_go__d4(
    open_door: OpenDoor, yard: Yard, adapters: Path, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    eye = await look(door, path=f"adapter?name={ADAPTER}")
    await eye.page.get_by_role("button", name="Pin version 1", exact=True).click()
    question = eye.page.get_by_role("dialog", name=f"Pin {ADAPTER}?")
    await eye.says("stays there however little it is asked for", "dialog")
    assert await eye.troubles() == []
    await question.get_by_role("button", name="Pin", exact=True).click()
    await eye.says(f"{ADAPTER}@1 is pinned", "#toasts")
    await eye.page.get_by_role("button", name="Unpin version 1").click()
    question = eye.page.get_by_role("dialog", name=f"Unpin {ADAPTER}?")
    await question.get_by_role("button", name="Unpin").click()
    await eye.says(f"{ADAPTER}@1 is unpinned", "#toasts")
    await eye.page.get_by_role("button", name="Cap …").click()
    await eye.page.get_by_role("dialog", name=f"Cap adapter {ADAPTER}?").wait_for()


async def test_of_a_line_only_its_own_jobs_are_cancelled__e4(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="operate", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client:
        line = await client.submit("x", adapter=ADAPTER)
        other = await client.submit("x", adapter=f"{ADAPTER}@1")
    eye = await look(door, path="queues")
    rows = eye.page.locator("tbody tr:not(.space)")
    await rows.nth(1).wait_for()
    mine = rows.filter(has=eye.page.locator(f"[title='{ADAPTER}']"))
    await mine.get_by_role("button", name="Cancel all").click()
    await eye.page.get_by_role("dialog", name="Cancel 1 job?").wait_for()
    await eye.says(f"that name just {ADAPTER}", "dialog")
    await eye.page.get_by_role("dialog").get_by_role("button", name="Cancel 1 job").click()
    await eye.says("1 job cancelled", "#toasts")
    assert await yard.stored(line.id) is not None
    assert await yard.stored(other.id) is None


async def test_dead_letters_are_leafed_through_from_the_newest_on__e3(
    open_door: OpenDoor, yard: Yard, look: Look
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    for number in range(203):
        await bury(door, number)
    eye = await look(door, path="dead")
    await eye.says("of 203 letters in all, the newest first", ".all")
    first = eye.page.locator("tbody tr:not(.space)").first
    await first.filter(has_text="#203").wait_for()
    assert await eye.page.get_by_role("button", name="Newest").is_disabled()
    await eye.page.get_by_role("button", name="Older").click()
    await eye.says("of 203 letters in all, those before #4", ".all")
    await first.filter(has_text="#3").wait_for()
    assert await eye.page.locator("tbody tr:not(.space)").count() == 3
    assert await eye.page.get_by_role("button", name="Older").is_disabled()
    assert await eye.troubles() == []
    await eye.page.get_by_role("button", name="Newest").click()
    await first.filter(has_text="#203").wait_for()
