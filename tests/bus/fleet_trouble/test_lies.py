"""Adverts that lie, and two workers under one name: no job is lost, none done twice (B6, G2)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.fleet_trouble.conftest import Beating, Impostor, WaitUntil, all_done_once, publish

from lorayard_schemas.advert import SlotAdvert
from lorayard_schemas.assignment import (
    RefusalReason,
)
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState

pytestmark = pytest.mark.bus


async def test_an_adapter_that_is_only_claimed_costs_a_message__b6(
    yard: Yard, adapters: Path, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    digest = (await yard.record(ADAPTER)).digest
    liar = Impostor(yard.bus, slots=(SlotAdvert(digest=digest, pinned=True),))
    liar.answer = lambda _: RefusalReason.UNKNOWN_ADAPTER
    await beating(liar)

    async def known() -> bool:
        return len((await yard.status()).workers) == 2

    await wait_until(known)
    makers = await all_done_once(yard, await publish(yard, 30, adapter=ADAPTER), wait_until)
    assert makers == {"w1": 30}
    status = await yard.status()
    assert status.refused_for == {"unknown_adapter": len(liar.refused)}
    assert liar.refused


async def test_room_that_is_only_claimed_costs_a_message_per_beat__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    liar = Impostor(yard.bus)
    liar.answer = lambda _: RefusalReason.NO_ROOM
    await beating(liar)
    names = await publish(yard, 30)
    await wait_until(lambda: len(liar.refused) > 30)
    await yard.worker("w1")
    makers = await all_done_once(yard, names, wait_until)
    assert makers == {"w1": 30}


async def test_a_job_refused_twice_is_sent_with_force_and_not_lost__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """The worker is full whenever it is asked, and free whenever it reports."""
    await yard.dispatcher()
    full = Impostor(yard.bus)
    full.works = True
    full.answer = lambda job: None if job.force else RefusalReason.NO_ROOM
    await beating(full)
    makers = await all_done_once(yard, await publish(yard, 5), wait_until)
    assert makers == {"a-liar": 5}
    assert [job.force for job in full.accepted] == [True] * 5
    assert Counter(job.key for job in full.refused) == {job.key: 2 for job in full.accepted}


async def test_an_advert_that_speaks_for_another_worker_takes_nothing_from_it__g3(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """It would end a life that goes on: its jobs would be given out a second time."""
    await yard.dispatcher()
    await yard.worker("w1", echo_delay_seconds=0.5)
    names = await publish(yard, 8)

    async def all_given() -> bool:
        return (await yard.status()).handed_over == 8

    await wait_until(all_given)
    liar = Impostor(yard.bus, "w1")
    await liar.beat(key="x")

    async def told() -> bool:
        return "x" in (await yard.status()).unread_adverts

    await wait_until(told)
    assert "'w1' stands under the key of 'x'" in (await yard.status()).unread_adverts["x"]
    assert await all_done_once(yard, names, wait_until) == {"w1": 8}
    status = await yard.status()
    assert (status.workers, status.handed_over) == (("w1",), 8)


@pytest.mark.parametrize("said", [{"load_ms_host": float("nan")}, {"slot_count": -1}, {"epoch": 2**63}])
async def test_an_advert_with_impossible_numbers_is_named_and_not_believed__g3(
    said: dict[str, object], yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await Impostor(yard.bus).beat(said=said)

    async def told() -> bool:
        (field,) = said
        return field in (await yard.status()).unread_adverts.get("a-liar", "")

    await wait_until(told)
    await yard.worker("w1")
    assert await all_done_once(yard, await publish(yard, 5), wait_until) == {"w1": 5}


async def test_a_worker_that_boasts_gets_no_more_than_it_takes(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    liar = Impostor(yard.bus, slot_count=2**62, rows_max=2**62, load_ms_host=1e300)
    liar.claims_room = 2**62
    liar.answer = lambda _: RefusalReason.NO_ROOM if len(liar.accepted) >= 3 else None
    liar.works = True
    await beating(liar)
    await yard.worker("w1")
    makers = await all_done_once(yard, await publish(yard, 30), wait_until)
    assert makers["a-liar"] <= 3


async def test_adverts_that_go_backwards_and_repeat_change_nothing(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """A bucket is listed again after a reconnect, messages may be late, and a life may be over."""
    await yard.dispatcher()
    worker = Impostor(yard.bus)
    worker.works = True
    first = worker.advert()
    life = {"epoch": first.epoch - 1}
    over = first.model_copy(update={**life, "load": first.load.model_copy(update=life)})
    await beating(worker)
    names = await publish(yard, 20)
    for number in range(20, 60):
        await worker.write(encode(first))
        await worker.write(encode(over))
        names.append(f"j{number}")
        await yard.publish(Job(id=names[-1], prompt="x"))
    assert await all_done_once(yard, names, wait_until) == {"a-liar": 60}
    assert worker.refused == [], "nothing was given to a life that is over"
    assert len(worker.accepted) == 60


async def test_two_workers_under_one_name_lose_and_double_nothing(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Each request reaches one of the two, as chance will: the wrong one refuses another's life."""
    await yard.dispatcher()
    older, newer = Impostor(yard.bus, "twin"), Impostor(yard.bus, "twin")
    for twin in (older, newer):
        twin.works = True
        await beating(twin)
    makers = await all_done_once(yard, await publish(yard, 30), wait_until)
    assert makers == {"twin": 30}
    accepted = [job.key for twin in (older, newer) for job in twin.accepted]
    assert len(accepted) == len(set(accepted))


async def test_a_forged_advert_hides_a_worker_for_a_while_and_not_for_ever__b6(yard: Yard) -> None:
    """All the worker's own adverts look older than it."""
    await yard.dispatcher()
    await yard.worker("w1")
    true = await yard.advert()
    load = true.load.model_copy(update={"number": 2**60, "room": 0})
    lie = true.model_copy(update={"sequence": 2**60, "at": true.at + 1e9, "load": load})
    await Impostor(yard.bus, "w1").write(encode(lie))
    await yard.publish(Job(id="hidden", prompt="x"))
    assert (await yard.result("hidden")).state is ResultState.SUCCEEDED
