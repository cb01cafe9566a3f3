"""How people declare where adapters shall be: commands, pins, priorities (B7, D1, D6)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.placement.conftest import OTHER, WaitUntil, commanded, placed

from lorayard import Client, InvalidRequestError
from lorayard_cli.app import run_command
from lorayard_schemas.placement import AdapterPriority, AdapterTier, Placement
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus


async def test_commands_declare_and_show__b7(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str], wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters, labels={"zone": "a"}, slots=2)
    place = ("adapters", "place", ADAPTER)
    said = await commanded(
        yard, capsys, *place, "--pin", "--replicas", "1:2", "--on", "zone=a", "--on", "w7", "--only"
    )
    assert said["warnings"] == ["no live worker is 'w7'; it counts once there is one"]

    async def kept() -> bool:
        return (await yard.status()).placements_kept == 1

    await wait_until(kept)
    shown = await commanded(yard, capsys, "adapters", "show", ADAPTER)
    assert (shown["kept"], shown["in_slot"], shown["allowed"]) == (True, ["w1"], ["w1"])
    said = await commanded(
        yard, capsys, *place, "--tier", "shared", "--replicas", "1:", "--anywhere", "--prefer", "--unpin"
    )
    declared = Placement.model_validate(said["placement"])
    assert declared == Placement(
        adapter=ADAPTER, tier=AdapterTier.SHARED, replicas_min=1, declared_at=declared.declared_at
    )
    said = await commanded(yard, capsys, *place, "--tier", "merged")
    assert said["error"] == {
        "code": "bad_input",
        "field": "tier",
        "message": "tier: it is to have 1 worker for itself, and can have 0: 1 worker of its base model "
        "live, 1 that it may be on, and one is left to everybody else",
    }
    said = await commanded(yard, capsys, *place, "--reset")
    reset = Placement.model_validate(said["placement"])
    assert reset == Placement(adapter=ADAPTER, declared_at=reset.declared_at)
    said = await commanded(yard, capsys, "adapters", "show", "a/b/c")
    assert "is not registered" in str(said["error"])


async def test_pin_and_unpin_leave_what_else_is_declared_as_it_is__d6(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters, slots=2)
    await commanded(yard, capsys, "adapters", "place", ADAPTER, "--replicas", "1:2", "--on", "w1", "--only")

    async def declared(*arguments: str) -> dict[str, object]:
        said = await commanded(yard, capsys, "adapters", *arguments)
        return Placement.model_validate(said["placement"]).model_dump(exclude={"declared_at", "v"})

    before = Placement(adapter=ADAPTER, replicas_min=1, replicas_max=2, on=("w1",), only=True)
    usual = before.model_dump(exclude={"declared_at", "v"})
    assert await declared("pin", ADAPTER) == {**usual, "pin": True}
    assert await declared("pin", ADAPTER, "--worker", "w1", "--worker", "w2") == {
        **usual,
        "pin": True,
        "on": ("w1", "w2"),
    }
    assert await declared("unpin", ADAPTER) == {**usual, "pin": False, "on": ("w1", "w2")}
    said = await commanded(yard, capsys, "adapters", "pin", "acme/tiny/none")
    assert "is not registered" in str(said["error"])


async def test_what_has_priority_stays_in_a_slot_when_another_has_to_leave__b7__c3(
    yard: Yard, client: Client, two: Path, capsys: pytest.CaptureFixture[str], wait_until: WaitUntil
) -> None:
    make_tiny_adapter(two / "acme/tiny/third" / "1", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=two, slots=2)
    await yard.record(ADAPTER)
    told = await commanded(yard, capsys, "adapters", "place", ADAPTER, "--priority", "high")
    assert "'priority': 'high'" in str(told["placement"])

    async def stays() -> bool:
        """Though it was used the longest ago each time that the third comes."""
        found = await client.generate("p", adapter=ADAPTER)
        for adapter in (OTHER, "acme/tiny/third"):
            await client.generate("p", adapter=adapter)
        return found.tier == "slot"

    await wait_until(stays)
    assert await stays(), "and each time"
    shown = (await placed(client)).declared
    assert shown is not None
    assert shown.priority is AdapterPriority.HIGH
    await client.place(ADAPTER, priority="normal")

    async def leaves() -> bool:
        return not await stays()

    await wait_until(leaves)


async def test_a_priority_that_is_none_is_refused_by_its_field__b7(
    yard: Yard, client: Client, adapters: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await yard.record(ADAPTER)
    with pytest.raises(InvalidRequestError, match=r"priority: .*'low', 'normal' or 'high'") as caught:
        await client.place(ADAPTER, priority="urgent")
    assert caught.value.field == "priority"
    with pytest.raises(InvalidRequestError) as caught:
        await client.place(ADAPTER, priority=cast("str", 5))
    assert caught.value.field == "priority"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("acme/tiny/ehco",), "adapter: 'acme/tiny/ehco' is not registered"),
        ((ADAPTER, "--worker", ""), "on: '' is neither a worker's name nor label=value of its labels"),
        ((ADAPTER, "--worker", "W 1"), "on: 'W 1' is neither a worker's name"),
    ],
)
async def test_a_pin_that_cannot_be_is_refused_in_words_for_people__b7(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await yard.record(ADAPTER)
    address = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, ["adapters", "pin", *arguments, *address]) == 5
    said = capsys.readouterr().err
    assert f"error: {says}" in said
    assert "^" not in said


async def test_of_several_versions_the_one_that_is_shown_is_told__d1(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    await yard.record(ADAPTER, "2")
    address = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    await asyncio.to_thread(run_command, ["adapters", "show", ADAPTER, *address])
    assert "has 2 versions (1 active, 2 active); this is 2, and name@version shows" in capsys.readouterr().err
    await asyncio.to_thread(run_command, ["adapters", "show", f"{ADAPTER}@1", *address])
    assert "versions" not in capsys.readouterr().err
    told = await commanded(yard, capsys, "adapters", "show", ADAPTER)
    assert told["versions"] == [{"version": "1", "state": "active"}, {"version": "2", "state": "active"}]
