"""Adapters are kept where they shall be, on a real bus (B7, B8)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.placement.conftest import OTHER, WaitUntil, at_hand, commanded, placed

from lorayard import Client, InvalidRequestError
from lorayard_schemas.audit import PlacementRecord, RegistryChange
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.placement import AdapterTier, Placement
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.bus.scanning import walk

pytestmark = pytest.mark.bus


async def test_declared_replicas_are_kept_when_a_worker_goes__b7(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    workers = {name: await yard.worker(name, adapters_dir=adapters) for name in ("w1", "w2", "w3")}
    digest = (await yard.record(ADAPTER)).digest
    await client.place(ADAPTER, replicas=(2, 2))

    async def kept() -> bool:
        return (await placed(client)).kept

    await wait_until(kept)
    first = set((await placed(client)).replicas)
    assert await at_hand(yard, digest, sorted(workers)) == first
    assert len(first) == 2
    gone = min(first)
    await workers.pop(gone).stop()

    async def moved() -> bool:
        now = await placed(client)
        return now.kept and set(now.replicas) == set(workers)

    await wait_until(moved)
    assert await at_hand(yard, digest, sorted(workers)) == set(workers)
    await yard.worker(gone, adapters_dir=adapters)

    async def back() -> bool:
        now = await placed(client)
        return now.kept and set(now.replicas) == first

    await wait_until(back)
    assert await at_hand(yard, digest, ["w1", "w2", "w3"]) == first, "two at most, so the third let go"


async def test_no_more_workers_than_declared_get_it_however_many_jobs_wait__b7(
    yard: Yard, client: Client, adapters: Path
) -> None:
    await yard.dispatcher()
    for name in ("w1", "w2", "w3"):
        await yard.worker(name, adapters_dir=adapters, rows=1, lookahead=0, echo_delay_seconds=0.01)
    await client.place(ADAPTER, replicas=(None, 1))
    jobs = [Job(id=f"j{number}", prompt="p") for number in range(30)]
    await asyncio.gather(*(yard.publish(job, adapter=ADAPTER) for job in jobs))
    makers = [(await yard.result(job.id)).maker for job in jobs]
    assert len({maker.worker for maker in makers if maker is not None}) == 1


async def test_jobs_of_an_adapter_that_may_be_on_one_worker_only_wait_for_it__b7(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    reply = await client.place(ADAPTER, on=["zone=a"], only=True)
    assert reply.warnings == ("no live worker is 'zone=a'; it counts once there is one",)
    await yard.publish(Job(id="j", prompt="p"), adapter=ADAPTER)

    async def waits() -> bool:
        return bool((await yard.status()).parked)

    await wait_until(waits)
    assert (await placed(client)).allowed == ()
    said = await commanded(yard, capsys, "explain", "j", "--tenant", "acme")
    assert said["reason"] == "placement"
    assert f"{ADAPTER}@1 was declared to be nowhere but on zone=a" in str(said["sentence"])
    await yard.worker("w2", adapters_dir=adapters, labels={"zone": "a"})
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert maker.worker == "w2"


async def test_a_merged_adapter_gets_a_worker_of_its_own_until_it_is_declared_otherwise__b8(
    yard: Yard, client: Client, two: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    for name in ("w1", "w2"):
        await yard.worker(name, adapters_dir=two)
    await client.place(ADAPTER, tier="merged")

    async def merged() -> bool:
        now = await placed(client)
        return now.kept and now.tier is AdapterTier.MERGED

    await wait_until(merged)
    (alone,) = (await placed(client)).is_merged
    digest = (await yard.record(ADAPTER)).digest
    assert (await yard.advert(alone)).dedicated == digest
    for number in range(4):
        await yard.publish(Job(id=f"a{number}", prompt="p"), adapter=ADAPTER)
        await yard.publish(Job(id=f"b{number}", prompt="p"), adapter=OTHER)
    for number in range(4):
        mine, other = await yard.result(f"a{number}"), await yard.result(f"b{number}")
        assert mine.maker is not None
        assert other.maker is not None
        assert mine.maker.adapter == ADAPTER
        assert mine.maker.digest == digest
        assert (mine.maker.tier == "merged") == (mine.maker.worker == alone)
        assert other.maker.worker != alone
    await client.place(ADAPTER, tier="auto")

    async def shared() -> bool:
        return (await yard.advert(alone)).dedicated is None

    await wait_until(shared)


@pytest.mark.parametrize("cold", [ADAPTER, OTHER])  # whichever's turn would come first
async def test_what_is_on_demand_is_not_brought_in_before_anybody_asks__b8(
    yard: Yard, client: Client, two: Path, wait_until: WaitUntil, cold: str
) -> None:
    await yard.dispatcher()
    first = await yard.worker("w1", adapters_dir=two)
    await client.place(cold, tier="on_demand")
    await first.stop()
    await yard.worker("w2", adapters_dir=two)
    digest = (await yard.record(cold)).digest
    other = (await yard.record(OTHER if cold == ADAPTER else ADAPTER)).digest

    async def other_is_there() -> bool:
        return other in (await yard.advert("w2")).host

    await wait_until(other_is_there)
    advert = await yard.advert("w2")
    assert digest not in {*advert.host, *advert.loading}
    await yard.publish(Job(id="j", prompt="p"), adapter=cold)
    maker = (await yard.result("j")).maker
    assert maker is not None
    assert maker.digest == digest


async def test_what_cannot_be_held_is_refused_and_changes_nothing__b7(
    yard: Yard, client: Client, two: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=two, slots=2)
    await client.place(ADAPTER, pin=True, replicas=(1, None))

    async def pinned() -> bool:
        return any(slot.pinned for slot in (await yard.advert()).slots)

    await wait_until(pinned)
    refused = {
        "pin": client.place(OTHER, pin=True),
        "tier": client.place(OTHER, tier="merged"),
        "replicas": client.place(OTHER, replicas=(3, 2)),
        "on": client.place(OTHER, on=["no such worker!"]),
        "adapter": client.place("acme/tiny/none"),
    }
    for field, declared in refused.items():
        with pytest.raises(InvalidRequestError) as caught:
            await declared
        assert caught.value.field == field
    with pytest.raises(InvalidRequestError, match="got 'hot'"):
        await client.place(OTHER, tier="hot")
    assert (await placed(client, OTHER)).declared is None
    told = await client.placements()
    assert [one.adapter for one in told.adapters] == [f"{ADAPTER}@1"]


async def test_who_declared_what_is_in_the_audit_trail__f4(
    yard: Yard, client: Client, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    await yard.record(ADAPTER)
    await commanded(yard, capsys, "adapters", "pin", f"{ADAPTER}@1", "--why", "it must be fast")
    await commanded(yard, capsys, "adapters", "place", ADAPTER, "--replicas", "1:2", "--why", "two zones")
    with pytest.raises(InvalidRequestError):
        await client.place("acme/tiny/none", pin=True)
    with pytest.raises(InvalidRequestError, match="is not an adapter") as caught:
        await client.place("acme/tiny/*", pin=True)
    assert caught.value.field == "adapter"
    await client.place(f"{ADAPTER}@1", pin=False)
    subject = yard.bus.subjects.registry_audit("placements", ADAPTER)
    pages = walk(yard.bus, yard.bus.subjects.stream("audit"), subject)
    told = [decode(RegistryChange, lying.body) async for page in pages for lying in page]
    pinned, unpinned = "tier auto, replicas 0:, pinned", "tier auto, replicas 0:"
    assert [(one.verb, one.key, one.before, one.after, one.reason) for one in told] == [
        ("pin", f"{ADAPTER}@1", "", pinned, "it must be fast"),
        ("place", ADAPTER, "", "tier auto, replicas 1:2", "two zones"),
        ("unpin", f"{ADAPTER}@1", pinned, unpinned, ""),
    ]
    assert [one.revision for one in told] == [1, 2, 3]
    assert all("@" in one.actor for one in told)


async def test_declarations_that_meet_are_both_kept__b7(yard: Yard, client: Client, adapters: Path) -> None:
    await yard.dispatcher("d1")
    await yard.worker("w1", adapters_dir=adapters)
    await asyncio.gather(
        client.place(ADAPTER, pin=True),
        client.place(ADAPTER, on=["w1"]),
        client.place(ADAPTER, tier="shared"),
    )
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("placements"))
    (entry,) = await list_bucket(bucket)
    stored = decode(Placement, entry.value or b"")
    assert (stored.pin, stored.on, stored.tier) == (True, ("w1",), AdapterTier.SHARED)


async def test_a_declaration_outlives_the_dispatcher_and_its_orders_are_on_record__b7(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    first = await yard.dispatcher("d1")
    await yard.worker("w1", adapters_dir=adapters)
    await client.place(ADAPTER, replicas=(1, None))
    await first.stop()
    await yard.dispatcher("d2")
    await yard.worker("w2", adapters_dir=adapters)
    await client.place(ADAPTER, replicas=(2, None))

    async def kept() -> bool:
        return (await placed(client)).kept and len((await placed(client)).replicas) == 2

    await wait_until(kept)
    stream, subject = yard.bus.subjects.stream("audit"), yard.bus.subjects.worker_audit("placement", "w2")

    async def recorded() -> bool:
        info = await yard.bus.api(f"STREAM.INFO.{stream}", {"subjects_filter": subject})
        return bool(info["state"].get("subjects"))

    await wait_until(recorded)
    found = await yard.bus.js.get_msg(stream, subject=subject, direct=True)
    record = decode(PlacementRecord, found.data or b"")
    assert (record.worker, record.adapter, record.order) == ("w2", f"{ADAPTER}@1", "load")


async def test_one_dispatcher_of_several_gives_the_orders_and_another_takes_over__b7(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    first = await yard.dispatcher("d1")
    await yard.dispatcher("d2")
    workers = {name: await yard.worker(name, adapters_dir=adapters) for name in ("w1", "w2")}
    await client.place(ADAPTER, replicas=(1, 1))

    async def ordered(dispatcher: str) -> list[str]:
        """Workers that it has sent orders to."""
        subject = f"{yard.settings.prefix}.audit.placement.*"
        stream = yard.bus.subjects.stream("audit")
        info = await yard.bus.api(f"STREAM.INFO.{stream}", {"subjects_filter": subject})
        found: list[str] = []
        subjects: dict[str, int] = info["state"].get("subjects") or {}
        for one in subjects:
            message = await yard.bus.js.get_msg(stream, subject=one, direct=True)
            record = decode(PlacementRecord, message.data or b"")
            found += [record.worker] if record.dispatcher == dispatcher else []
        return found

    async def one_did() -> bool:
        return bool(await ordered("d1"))

    await wait_until(one_did)
    assert await ordered("d2") == []
    (home,) = await ordered("d1")
    await first.stop()
    await workers.pop(home).stop()

    async def other_did() -> bool:
        return await ordered("d2") == list(workers)

    await wait_until(other_did)


async def test_traffic_alone_gives_an_adapter_a_worker_and_takes_it_back__b8(
    yard: Yard, adapters: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    for constant, seconds in {"SMOOTH": 0.5, "WORTH": 1.0, "IDLE": 1.0}.items():
        monkeypatch.setattr(f"lorayard_dispatcher.planning.tiers.{constant}_SECONDS", seconds)
    await yard.dispatcher()
    for name in ("w1", "w2"):
        await yard.worker(name, adapters_dir=adapters, rows=2, echo_delay_seconds=0.05)
    jobs = [Job(id=f"j{number}", prompt="p") for number in range(300)]
    await asyncio.gather(*(yard.publish(job, adapter=ADAPTER) for job in jobs))

    async def merged() -> list[str]:
        return [name for name in ("w1", "w2") if (await yard.advert(name)).dedicated is not None]

    async def one_is() -> bool:
        return len(await merged()) == 1

    async def none_is() -> bool:
        return not await merged()

    await wait_until(one_is)
    await wait_until(none_is)
    for job in jobs:
        assert (await yard.result(job.id)).attempt == 1
