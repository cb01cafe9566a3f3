"""Workers that accept and fall silent, and clocks that are set: no job is lost, none done twice (B6, G2)."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.fleet_trouble.conftest import Beating, Impostor, WaitUntil, all_done_once, publish

from lorayard_schemas.assignment import (
    RefusalReason,
)
from lorayard_schemas.job import Job

pytestmark = pytest.mark.bus


@pytest.mark.parametrize("says_so", [True, False], ids=["says that it holds them", "says nothing"])
async def test_what_a_worker_accepts_and_never_renews_is_done_elsewhere__g2(
    says_so: bool, yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """The server gives it out again when its lease has run out; who let it go comes last for a while."""
    await yard.dispatcher()
    hung = Impostor(yard.bus)
    await beating(hung)
    names = await publish(yard, 3)
    await wait_until(lambda: len(hung.accepted) >= 3)
    hung.holding = tuple({job.key for job in hung.accepted}) if says_so else ()
    await yard.worker("w1")
    assert await all_done_once(yard, names, wait_until) == {"w1": 3}
    assert (await yard.status()).lapsed >= 3
    assert max(Counter(job.key for job in hung.accepted).values()) <= 2


async def test_what_a_silenced_worker_holds_is_done_elsewhere(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Its last advert stands for ever: it has no time to live."""
    await yard.dispatcher()
    silent = Impostor(yard.bus)
    await silent.start()
    names = await publish(yard, 3)
    await wait_until(lambda: len(silent.accepted) >= 3)
    await yard.worker("w1")
    assert await all_done_once(yard, names, wait_until) == {"w1": 3}


async def test_a_yard_out_of_sight_says_so_works_on_and_sees_again__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    quiet = Impostor(yard.bus)
    quiet.works = True
    await quiet.start()

    async def blind() -> bool:
        return (await yard.status()).blind

    async def sighted() -> bool:
        return not await blind()

    await wait_until(blind)
    assert (await yard.status()).stale == 1
    assert await all_done_once(yard, await publish(yard, 5), wait_until) == {"a-liar": 5}
    await beating(quiet)
    await wait_until(sighted)


async def test_clocks_that_are_set_by_an_hour_lose_and_double_nothing(
    yard: Yard, adapters: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of dispatcher and workers; the server's goes on."""
    real, skew = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    await yard.worker("w2", adapters_dir=adapters)
    names: list[str] = []
    for number in range(60):
        skew = (0.0, -3600.0, 3600.0)[number // 10 % 3]
        names.append(f"j{number}")
        await yard.publish(Job(id=names[-1], prompt="x"), adapter=(None, ADAPTER)[number % 2])
    await all_done_once(yard, names, wait_until)


async def test_a_worker_that_comes_back_with_its_clock_set_back_is_served_again(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Its boot epoch is lower than the one before: it counts once that has fallen silent."""
    await yard.dispatcher()
    before = Impostor(yard.bus, "w")
    await before.start()
    names = await publish(yard, 2)
    await wait_until(lambda: len(before.accepted) >= 2)
    before.answer = lambda _: RefusalReason.STALE_EPOCH  # it is gone, and its name answered by the next
    after = Impostor(yard.bus, "w")
    after.epoch = before.epoch - 3600 * 10**9
    after.works = True
    await beating(after)
    assert await all_done_once(yard, names, wait_until) == {"w": 2}
    assert len(after.accepted) == 2
