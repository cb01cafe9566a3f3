"""Workers, adapters and requests in crowds: no job is lost, none done twice (B6, G2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.fleet_trouble.conftest import Impostor, WaitUntil, all_done_once, publish

from lorayard_schemas.job import Job
from lorayard_shared.process import end_tasks
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.residency import Residency
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus


class CrowdedEngine(EchoEngine):
    """Has more adapters in host memory than an advert has room for."""

    def residency(self) -> Residency:
        host = frozenset(f"sha256:{number:064x}" for number in range(20_000))
        return replace(super().residency(), host=host)


async def test_a_worker_with_more_adapters_than_an_advert_holds_is_seen_all_the_same(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", engine=CrowdedEngine())
    assert await all_done_once(yard, await publish(yard, 3), wait_until) == {"w1": 3}
    assert len((await yard.advert()).host) > 1000


async def test_a_thousand_workers_at_once_hold_up_nothing(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker("real")
    crowd = [Impostor(yard.bus, f"w{number}") for number in range(1000)]
    turns, known = 0, set[str]()

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn(), name="turns")
    try:
        for impostor in crowd:
            impostor.claims_room = 0
            await impostor.beat()
        names = await publish(yard, 20)

        async def all_known() -> bool:  # on a busy machine the first are forgotten before the last is heard
            known.update((await yard.status()).workers)
            return len(known) == 1001

        await wait_until(all_known)
        assert await all_done_once(yard, names, wait_until) == {"real": 20}
    finally:
        await end_tasks([turning])
    assert turns > 1000, "the loop went round at least once for each of them"


async def test_a_hundred_requests_of_one_cold_adapter_load_it_once_per_replica(
    yard: Yard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Simultaneous, and each worker has loads that take their time."""
    make_tiny_adapter(tmp_path / "a" / ADAPTER / "1", seed=1, targets=("q_proj",))
    await yard.dispatcher(prewarm_copies=0)
    workers = ("w1", "w2", "w3")
    for name in workers:
        await yard.worker(name, adapters_dir=tmp_path / "a", echo_load_seconds=0.2, echo_delay_seconds=0.05)
    names = [f"j{number}" for number in range(100)]
    await asyncio.gather(*(yard.publish(Job(id=name, prompt=name), adapter=ADAPTER) for name in names))
    makers = await all_done_once(yard, names, wait_until)

    async def told() -> bool:
        counted = [(await yard.advert(name)).counters for name in workers]
        return sum(counters.adapter_rows for counters in counted) == 100

    await wait_until(told)
    counted = {name: (await yard.advert(name)).counters for name in workers}
    for name in workers:
        assert counted[name].slot_loads == counted[name].disk_loads == min(1, makers[name])
        assert counted[name].evictions == 0
