"""What keys of `lorayard top` do to a real yard: each says what will happen, and does it (F3, E5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.records import acts, lay_dead
from textual.pilot import Pilot
from textual.widgets import Static

from lorayard import Client, GenerateRequest, ResultState, ScheduledJob
from lorayard.settings import client_settings
from lorayard_cli.top.app import Top
from lorayard_cli.top.dialogs import Choose, Confirm
from lorayard_cli.top.feed import ClientFeed
from lorayard_cli.top.picture import Tab
from lorayard_cli.top.tenants import TenantClients
from lorayard_schemas.control import Controlled
from lorayard_schemas.job import Lane
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

STABLE = f"{ADAPTER}@stable"


class Hands:
    """Somebody before the screen."""

    def __init__(self, app: Top, pilot: Pilot[None], wait_until: WaitUntil) -> None:
        self.app, self._pilot, self.wait_until = app, pilot, wait_until

    @property
    def said(self) -> str:
        """The line of what was done."""
        return str(self.app.board.query_one("#status", Static).render())

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def go(self, tab: Tab, row: str = "") -> None:
        """To the row whose key begins so."""
        await self.press(str(list(Tab).index(tab) + 1))
        self.app.board.look_now()

        def there() -> bool:
            chosen = self.app.board.grid.chosen
            return chosen is not None and chosen.key.startswith(row)

        async def reached() -> bool:
            if not there():
                place = self.app.board.grid.place
                await self.press("down")
                if self.app.board.grid.place == place:  # the last row; this one may have come above it
                    await self.press("home")
                self.app.board.look_now()
            return there()

        await self.press("home")
        await self.wait_until(reached)

    async def asked(self, *, choice: int | None = None) -> str:
        """What the confirmation says."""
        if choice is not None:
            await self.wait_until(lambda: isinstance(self.app.screen, Choose))
            await self.press(*["down"] * choice, "enter")
        await self.wait_until(lambda: isinstance(self.app.screen, Confirm))
        return "\n".join(str(each.render()) for each in self.app.screen.query(Static))

    async def answer(self, *keys: str, said: str) -> None:
        """Confirm, and hear what was done."""
        await self.press(*keys)
        await self.wait_until(lambda: said in self.said)


@asynccontextmanager
async def before(yard: Yard, wait_until: WaitUntil) -> AsyncGenerator[Hands]:
    """The screen of an operator."""
    settings = client_settings(yard.settings, actor="ana@desk")
    async with TenantClients(settings) as clients:
        app = Top(ClientFeed(clients), clients, yard="yard", interval_seconds=0.5)
        async with app.run_test(size=(80, 24)) as pilot:
            await wait_until(lambda: app.board.looking.picture is not None)
            yield Hands(app, pilot, wait_until)


@pytest.fixture
async def client(yard: Yard) -> AsyncGenerator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def test_lanes_tenants_adapters_and_workers_are_paused_drained_struck_and_let_go__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    (await client.submit_many([GenerateRequest("x", adapter=ADAPTER)] * 3)).all_handles()
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.QUEUES, "normal acme")
        await hands.press("P")
        told = await hands.asked(choice=0)
        assert "3 of its jobs are unfinished now" in told
        assert "lorayard lanes pause normal" in told
        await hands.press("enter")  # without a reason nothing is done
        assert isinstance(hands.app.screen, Confirm)
        await hands.answer(*"backup", "enter", said="lane normal is paused")
        (pause,) = (await client.control.list()).pauses
        assert (pause.label, pause.why, pause.by) == ("lane normal", "backup", "ana@desk")

        await hands.press("D")
        await hands.asked(choice=1)
        await hands.answer(*"disk", "enter", said="tenant acme drains")
        await hands.press("S")
        assert f"--adapter {ADAPTER} --tenant acme" in await hands.asked(choice=0)
        await hands.answer(*"rambles", "enter", said="struck: ")
        (strike,) = await client.strikes.list()
        assert (strike.adapter, strike.tenant, strike.why) == (ADAPTER, "acme", "rambles")

        await client.control.cap("tenant", "acme", 2, reason="fair use")
        await hands.go(Tab.OVERVIEW, "cap tenant")
        await hands.press("r")
        assert "At most 2" in await hands.asked()
        await hands.answer("enter", said="has no cap any more")
        await hands.go(Tab.OVERVIEW, "pause lane")
        await hands.press("r")
        await hands.asked()
        await hands.answer("enter", said="lane normal is resumed")
        await hands.go(Tab.OVERVIEW, "pause tenant")
        await hands.press("r")
        await hands.asked()
        await hands.answer("enter", said="tenant acme is resumed")
        await hands.go(Tab.OVERVIEW, "strike")
        await hands.press("l")
        assert "rambles" in await hands.asked()
        await hands.answer("enter", said="lifted: ")
    found = await client.control.list()
    assert (found.pauses, found.caps, await client.strikes.list()) == ((), (), [])


async def test_what_somebody_else_was_faster_with_is_one_line(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await client.control.pause("lane", "bulk", reason="x")
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.OVERVIEW, "pause")
        await hands.press("r")
        await hands.asked()
        await client.control.resume("lane", "bulk")
        await hands.answer("enter", said="error: ")
        assert "Traceback" not in hands.said
        await hands.press("escape")
        await hands.wait_until(lambda: hands.app.board.grid.chosen is None)
        await hands.press("r")
        await hands.wait_until(lambda: "nothing is chosen" in hands.said)


async def test_a_job_and_a_queue_are_cancelled_after_they_are_counted__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    alone = await client.submit("x")
    handles = (
        await client.submit_many([GenerateRequest("x", adapter=ADAPTER, lane="bulk")] * 4)
    ).all_handles()
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.JOBS, f"acme {alone.id}")
        await hands.press("C")
        assert "tenant acme" in await hands.asked()
        await hands.press("escape")
        await hands.wait_until(lambda: "nothing was done" in hands.said)
        assert not await alone.done()
        await hands.press("C")
        await hands.asked()
        await hands.answer("y", said=f"job {alone.id}: cancelled")
        await hands.go(Tab.QUEUES, "bulk acme")
        await hands.press("C")
        assert "Cancel 4 jobs" in str(
            (await hands.asked(), hands.app.screen.query_one(".frame").border_title)
        )
        late = await client.submit("x", adapter=ADAPTER, lane="bulk")
        await hands.answer("y", said="4 of 4 jobs cancelled")
        assert not await late.done(), "it was not among those that were counted"
    assert {(await handle.outcome()).state for handle in (alone, *handles)} == {ResultState.CANCELLED}
    told = [(act.verb, act.actor, act.tenant, act.jobs) for act in await acts(yard.bus)]
    assert told == [("cancel", "ana@desk", "acme", 1), ("cancel", "ana@desk", "acme", 4)]


async def test_jobs_are_listed_wherever_they_are_and_explained__f4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    later = await client.submit("x", delay_seconds=3600)
    queued = await client.submit("x", adapter=ADAPTER)
    ended = await client.submit("x")
    await ended.cancel()
    scheduled: list[ScheduledJob] = await client.scheduled()
    assert [one.job_id for one in scheduled] == [later.id]
    async with before(yard, wait_until) as hands:
        for job, word in ((queued, "queued"), (later, "scheduled"), (ended, "cancelled")):
            await hands.go(Tab.JOBS, f"acme {job.id}")
            chosen = hands.app.board.grid.chosen
            assert chosen is not None
            assert chosen.cells[0] == word
        await hands.go(Tab.QUEUES, f"normal acme {ADAPTER}")
        await hands.press("enter")
        await hands.wait_until(lambda: hands.app.board.tab is Tab.JOBS and "1 of 1" in hands.said)
        await hands.press("enter")
        await hands.wait_until(lambda: hands.app.screen is not hands.app.board)
        assert queued.id in "".join(str(each.render()) for each in hands.app.screen.query(Static))


async def test_one_letter_is_retried_and_all_that_are_listed_redriven__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    for number in range(1, 6):
        await lay_dead(yard.bus, f"dead-{number}")
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.DEAD, "3")
        await hands.press("t")
        assert "dead-3" in await hands.asked()
        await hands.answer("y", said="redriven: dead-3-r1")
        await hands.wait_until(lambda: "of 4" in hands.said)
        await hands.press("R")
        assert "engine_error 4" in await hands.asked()
        await hands.answer("y", said="4 redriven")
        await hands.wait_until(lambda: hands.app.board.grid.chosen is None)
    assert await client.dead.list() == []
    assert (await client.queue_depth()).total == 5
    told = sorted((act.job, act.verb, act.actor) for act in await acts(yard.bus))
    assert told == [(f"dead-{number}", "redrive", "ana@desk") for number in range(1, 6)]


async def test_of_a_plain_name_a_line_is_cancelled_and_not_those_of_its_versions__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    line = (await client.submit_many([GenerateRequest("x", adapter=ADAPTER)] * 2)).all_handles()
    named = [await client.submit("x", adapter=f"{ADAPTER}@{version}") for version in ("1", "stable")]
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.QUEUES, f"normal acme {ADAPTER}")
        chosen = hands.app.board.grid.chosen
        assert chosen is not None
        assert chosen.about.adapter == ADAPTER
        await hands.press("C")
        assert f"--lane normal --named {ADAPTER}" in await hands.asked()
        await hands.answer("y", said="2 of 2 jobs cancelled")
    assert [await handle.done() for handle in (*line, *named)] == [True, True, False, False]


async def test_letters_are_read_anew_only_where_one_has_come_or_gone__f3(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_cli.top.feed.LETTERS", 2)
    for number in range(1, 4):
        await lay_dead(yard.bus, f"dead-{number}")
    async with TenantClients(client_settings(yard.settings)) as clients:
        feed = ClientFeed(clients)
        first = await feed.letters()
        assert [letter.job for letter in first] == ["dead-3", "dead-2"]
        assert await feed.letters() is first
        await clients.yard.dead.purge("dead-3")
        assert [letter.job for letter in await feed.letters()] == ["dead-2", "dead-1"]


async def test_adapters_are_pinned_promoted_and_rolled_back__d4(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await client.aliases.split(STABLE, {"1": 100}, preload_seconds=None)
    async with before(yard, wait_until) as hands:
        await hands.go(Tab.ADAPTERS, f"{ADAPTER}@2")
        await hands.press("M")
        assert f"{STABLE} is 1=100 now (revision 1)" in await hands.asked()
        await hands.answer(*"better", "enter", said=f"{STABLE} is 2=100 (revision 2)")
        await hands.press("B")
        assert "returns to revision 1, 1=100" in await hands.asked()
        await hands.answer("enter", said=f"{STABLE} is 1=100 (revision 3)")
        await hands.press("n")
        await hands.asked(choice=0)
        await hands.answer(*"hot", "enter", said="is pinned")
        await hands.wait_until(lambda: hands.app.board.looking.picture is not None)
        placed = (await client.placements(f"{ADAPTER}@2")).adapters
        assert placed[0].declared is not None
        assert placed[0].declared.pin
        await hands.press("u")
        await hands.wait_until(lambda: isinstance(hands.app.screen, Choose) or "is not pinned" in hands.said)
        if not isinstance(hands.app.screen, Choose):  # the picture was of before
            await hands.go(Tab.ADAPTERS, f"{ADAPTER}@2")
            await hands.press("u")
        await hands.asked(choice=0)
        await hands.answer("enter", said="is unpinned")
        await hands.go(Tab.WORKERS, "w1")
        await hands.press("D")
        assert "It runs 0 now" in await hands.asked()
        await hands.answer(*"disk", "enter", said="worker w1 drains")
    (pause,) = (await client.control.list()).pauses
    assert (pause.kind, pause.drain) == (Controlled.WORKER, True)


async def test_the_lists_of_jobs_say_who_has_each_and_how_each_ended(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await client.control.pause("lane", "bulk", reason="x")  # before there is a dispatcher: it knows
    await yard.dispatcher()
    await yard.worker()
    done = await client.submit("x")
    await done.result()
    waits = [await client.submit("x", lane="bulk") for _ in range(3)]
    (ended,) = await client.jobs.recent()
    assert (ended.job_id, ended.tenant, ended.state, ended.worker) == (
        done.id,
        "acme",
        ResultState.SUCCEEDED,
        "w1",
    )
    listed = await client.jobs.queued(limit=2)
    assert [one.job_id for one in listed] == [handle.id for handle in waits[:2]]
    assert {(one.worker, one.address.lane, one.attempt) for one in listed} == {(None, Lane.BULK, 1)}
    assert len(await client.jobs.queued(listed[0].address)) == 3
