"""Several dispatchers active at once: each has partitions, and every group lives in one of them."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.bus.several.conftest import SeveralYard

from lorayard_shared.bus import repartition
from lorayard_shared.bus.declare import declare, find_drift, mend
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusDeclarationError
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

MakeSeveral = Callable[..., Awaitable[SeveralYard]]
NAMES = [f"acme/tiny/{letter}" for letter in "abcdef"]


@pytest.fixture
def many_adapters(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        make_tiny_adapter(tmp_path / "many" / name / "1", seed=seed, targets=("q_proj",))
    return tmp_path / "many"


async def test_each_group_lives_in_one_dispatcher_and_moves_as_a_whole__a3_g1(
    make_several: MakeSeveral, many_adapters: Path
) -> None:
    several = await make_several(partitions=2)
    worker = await several.yard.worker("w1", adapters_dir=many_adapters)
    await worker.stop()  # it has registered the adapters; nobody runs anything now
    await several.yard.dispatcher("d1")
    await several.wait_until(lambda: several.seats.holders == {0: "d1", 1: "d1"})
    second = await several.process("d2")
    await several.wait_until(lambda: several.seats.holders == {0: "d1", 1: "d2"})
    jobs = [job for name in NAMES for job in await several.publish(4, adapter=name)]
    await several.wait_until(lambda: _all_parked(several, ("d1", "d2"), len(jobs)))
    first, other = await _groups(several, "d1"), await _groups(several, "d2")
    assert not first & other
    assert first | other == {f"{name}@1" for name in NAMES}
    assert first
    assert other
    second.signal(signal.SIGKILL)
    await several.wait_until(lambda: several.seats.holders == {0: "d1", 1: "d1"})
    await several.yard.worker("w1", adapters_dir=many_adapters)
    await several.all_answered_once(jobs)


async def test_every_partition_is_pulled_from_without_a_dispatcher__g1(
    make_several: MakeSeveral, many_adapters: Path
) -> None:
    several = await make_several(partitions=3)
    await several.yard.worker("w1", adapters_dir=many_adapters, emergency=True, emergency_after_seconds=0.3)
    await several.all_answered_once([job for name in NAMES for job in await several.publish(2, adapter=name)])


async def test_waiting_jobs_come_along_when_the_number_changes__g1(
    several: SeveralYard, many_adapters: Path
) -> None:
    bus, settings = several.bus, several.yard.settings
    jobs = [job for name in NAMES for job in await several.publish(3, adapter=name)]
    for partitions in (3, 2, 1, 2):
        wanted = topology(settings.model_copy(update={"partitions": partitions}))
        assert await mend(bus, wanted) == ()
        assert await find_drift(bus, wanted) == ()
        assert await several.yard.left() == len(jobs)
    more = [job for name in NAMES for job in await several.publish(1, adapter=name)]
    await several.yard.dispatcher("d1", partitions=2)
    await several.yard.worker("w1", adapters_dir=many_adapters, partitions=2)
    await several.all_answered_once([*jobs, *more])


async def test_a_change_that_was_ended_in_the_middle_is_finished_before_anybody_starts__g1(
    several: SeveralYard, many_adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, settings = several.bus, several.yard.settings
    jobs = [job for name in NAMES for job in await several.publish(3, adapter=name)]
    before = (await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}"))["config"]["max_bytes"]
    wanted = topology(settings.model_copy(update={"partitions": 2}))
    move, moved = repartition.move, count()

    async def power_cut(*given: Any) -> None:
        if next(moved) == 3:
            raise ConnectionResetError
        await move(*given)

    with monkeypatch.context() as patch:
        patch.setattr(repartition, "move", power_cut)
        with pytest.raises(ConnectionResetError):
            await mend(bus, wanted)
    with pytest.raises(BusDeclarationError, match="was ended in the middle"):
        await declare(bus, wanted)
    assert await mend(bus, wanted) == ()
    assert (await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}"))["config"]["max_bytes"] == before
    await several.yard.dispatcher("d1", partitions=2)
    await several.yard.worker("w1", adapters_dir=many_adapters, partitions=2)
    await several.all_answered_once(jobs)


async def test_a_process_that_was_told_another_number_does_not_start(several: SeveralYard) -> None:
    wanted = topology(several.yard.settings.model_copy(update={"partitions": 2}))
    with pytest.raises(BusDeclarationError, match="partitions number 1, and LORAYARD_PARTITIONS is 2 here"):
        await declare(several.bus, wanted)


async def test_the_number_is_not_changed_under_who_runs(several: SeveralYard) -> None:
    dispatcher = await several.yard.dispatcher("d1")
    await several.yard.worker("w1")
    wanted = topology(several.yard.settings.model_copy(update={"partitions": 2}))
    with pytest.raises(BusDeclarationError, match="stop d1, w1"):
        await mend(several.bus, wanted)
    await dispatcher.stop()
    with pytest.raises(BusDeclarationError, match="stop w1"):
        await mend(several.bus, wanted)


async def _all_parked(several: SeveralYard, dispatchers: tuple[str, ...], jobs: int) -> bool:
    parked = 0
    for name in dispatchers:
        parked += sum(group.jobs for group in (await several.status(name)).parked)
    return parked == jobs


async def _groups(several: SeveralYard, dispatcher: str) -> set[str]:
    return {group.adapter for group in (await several.status(dispatcher)).parked}
