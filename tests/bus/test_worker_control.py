"""Orders about adapters: a worker follows or refuses each of them by itself, and stays the authority."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Process, Yard

from lorayard_schemas.assignment import (
    AdapterRef,
    AssignedJob,
    Assignment,
    AssignmentReply,
    RefusalReason,
)
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.order import MAX_ORDERED, AdapterOrder, OrderOutcome, OrderReply, OrderVerb
from lorayard_schemas.result import ResultState
from lorayard_workers.adapters.catalog import Catalog, CatalogScanner
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.service.orders import MAX_LOADING, Orders
from lorayard_workers.service.stock import OnDisk
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Told = list[tuple[OrderOutcome, str]]

OTHER_DIGEST = "sha256:" + "0" * 64
QUEUED, THERE = (OrderOutcome.QUEUED, ""), (OrderOutcome.THERE, "")


@pytest.fixture
def digests(adapters: Path) -> list[str]:
    """Of four adapters in the folder."""
    for version in ("2", "3", "4"):
        make_tiny_adapter(adapters / ADAPTER / version, seed=int(version), targets=("q_proj",), rank=16)
    return [entry.digest for entry in scan(adapters).entries]


def scan(adapters: Path) -> Catalog:
    return CatalogScanner(root=adapters).scan()


async def send(yard: Yard, verb: str, body: bytes) -> dict[str, str] | OrderReply:
    reply = await yard.bus.nc.request(yard.bus.subjects.control("w1", verb), body, timeout=30)
    return dict(reply.headers) if reply.headers else decode(OrderReply, reply.data)


async def order(yard: Yard, verb: OrderVerb, *digests: str) -> Told:
    reply = await send(yard, verb, encode(AdapterOrder(digests=digests)))
    assert isinstance(reply, OrderReply)
    assert tuple(answer.digest for answer in reply.answers) == digests
    return [(answer.outcome, answer.detail) for answer in reply.answers]


async def test_a_prefetched_adapter_is_advertised_in_host_memory__c4(
    yard: Yard, adapters: Path, digests: list[str], wait_until: WaitUntil
) -> None:
    await yard.worker(adapters_dir=adapters)
    before = await yard.advert()
    assert await order(yard, OrderVerb.PREFETCH, *digests[:2]) == [QUEUED, QUEUED]

    async def there() -> bool:
        return set((await yard.advert()).host) == set(digests[:2])

    await wait_until(there)
    assert await order(yard, OrderVerb.PREFETCH, *digests[:2]) == [THERE, THERE]
    reply = await send(yard, OrderVerb.PREFETCH, encode(AdapterOrder(digests=(digests[0],))))
    assert isinstance(reply, OrderReply)
    assert (reply.worker, reply.epoch) == ("w1", before.epoch)
    assert reply.sequence > before.sequence


async def test_an_adapter_is_loaded_into_a_slot_that_is_free__b7(
    yard: Yard, adapters: Path, digests: list[str], wait_until: WaitUntil
) -> None:
    await yard.worker(adapters_dir=adapters, slots=2)
    assert await order(yard, OrderVerb.LOAD, *digests[:2]) == [QUEUED, QUEUED]

    async def there() -> bool:
        return {slot.digest for slot in (await yard.advert()).slots} == set(digests[:2])

    await wait_until(there)
    assert await order(yard, OrderVerb.LOAD, digests[0]) == [THERE]
    assert await order(yard, OrderVerb.DEDICATE, digests[0]) == [QUEUED]
    alone = (OrderOutcome.REFUSED, f"the worker serves only {digests[0]}, and uses no slots")
    assert await order(yard, OrderVerb.LOAD, digests[1]) == [alone]


async def test_an_arrival_in_host_memory_is_told_without_waiting_for_the_next_beat__a4(
    yard: Yard, adapters: Path, digests: list[str], wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for it has jobs that wait for it."""
    monkeypatch.setattr("lorayard_workers.service.presence.BEAT_SECONDS", 3600.0)
    await yard.worker(adapters_dir=adapters, echo_disk_seconds=0.2)
    assert await order(yard, OrderVerb.PREFETCH, *digests[:2]) == [QUEUED, QUEUED]

    async def both_are_there() -> bool:
        advert = await yard.advert()
        return set(advert.host) == set(digests[:2]) and not advert.loading

    await wait_until(both_are_there)


async def test_each_adapter_of_an_order_is_judged_alone__g3(
    yard: Yard, adapters: Path, digests: list[str]
) -> None:
    await yard.worker(adapters_dir=adapters)
    assert await order(yard, OrderVerb.PREFETCH, OTHER_DIGEST, "nonsense", digests[0]) == [
        (OrderOutcome.UNKNOWN_ADAPTER, "no files of it here"),
        (OrderOutcome.REFUSED, "not a digest: algorithm:hex is needed"),
        QUEUED,
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "digests"),
        (b'{"digests": []}', "digests"),
        (b'{"digests": ["sha256:00000000", 5]}', "digests.1"),
        (b'{"digests": ["' + b"x" * 300 + b'"]}', "digests.0"),
        (encode(AdapterOrder.model_construct(digests=("x",) * (MAX_ORDERED + 1))), "digests"),
        (b"", "body"),
    ],
)
async def test_an_order_that_cannot_be_read_is_answered_with_its_field__g3(
    yard: Yard, body: bytes, field: str
) -> None:
    await yard.worker()
    for verb in OrderVerb:
        refused = await send(yard, verb, body)
        assert isinstance(refused, dict)
        assert refused["Nats-Service-Error-Code"] == "400"
        assert refused["Nats-Service-Error"].startswith(f"AdapterOrder: {field}: ")


async def test_pins_beyond_the_slots_are_refused_with_the_numbers__c3_g3(
    yard: Yard, adapters: Path, digests: list[str], wait_until: WaitUntil
) -> None:
    await yard.worker(adapters_dir=adapters, slots=3)
    assert await order(yard, OrderVerb.PIN, *digests[:3]) == [
        QUEUED,
        QUEUED,
        (OrderOutcome.NO_ROOM, "3 pinned adapters and one other needs 4, but slots is 3"),
    ]

    async def pinned() -> set[str]:
        return {slot.digest for slot in (await yard.advert()).slots if slot.pinned}

    async def two_are_pinned() -> bool:
        return await pinned() == set(digests[:2])

    await wait_until(two_are_pinned)
    assert await order(yard, OrderVerb.PIN, digests[0]) == [THERE]
    assert await order(yard, OrderVerb.UNPIN, digests[0], digests[2]) == [QUEUED, THERE]
    assert await order(yard, OrderVerb.PIN, digests[2]) == [QUEUED]
    assert await order(yard, OrderVerb.UNLOAD, digests[2], digests[3]) == [QUEUED, THERE]

    async def one_is_pinned() -> bool:
        return await pinned() == {digests[1]}

    await wait_until(one_is_pinned)


def test_a_worker_with_enough_on_the_way_takes_no_more_prefetches__g3() -> None:
    crowd = tuple(f"sha256:{number:08}" for number in range(MAX_LOADING + 1))
    orders = Orders(
        EchoEngine(disk_seconds=3600.0),
        stock=OnDisk(dict.fromkeys(crowd, 8)),
        max_rank=64,
        is_draining=lambda: False,
    )
    found = orders.follow(OrderVerb.PREFETCH, AdapterOrder(digests=(*crowd, crowd[0])))
    assert [answer.outcome for answer in found[:MAX_LOADING]] == [OrderOutcome.QUEUED] * MAX_LOADING
    assert [(answer.outcome, answer.detail) for answer in found[MAX_LOADING:]] == [
        (OrderOutcome.NO_ROOM, f"{MAX_LOADING} adapters are on their way, and {MAX_LOADING} may be"),
        QUEUED,
    ]


async def assign(
    yard: Yard, name: str, digest: str | None = None, *, seconds: float = 0.05
) -> list[RefusalReason]:
    """Hand a job over that runs so long; its lease is `lease.{name}`."""
    body = Job(id=name, prompt=name, run_limit_seconds=seconds)
    job = AssignedJob(
        key=f"TEST-{name}",
        lease=f"lease.{name}",
        subject=f"{yard.bus.settings.prefix}.jobs.normal.acme._",
        body=encode(body),
        adapter=None if digest is None else AdapterRef(name=ADAPTER, version="1", digest=digest),
    )
    sent = Assignment(
        dispatcher="test",
        worker="w1",
        epoch=(await yard.advert()).epoch,
        number=1,
        load_subject=f"{yard.bus.settings.prefix}.load.test",
        jobs=(job,),
    )
    reply = await yard.bus.nc.request(yard.bus.subjects.assign("w1"), encode(sent), timeout=30)
    return [refusal.reason for refusal in decode(AssignmentReply, reply.data).refusals]


async def test_a_worker_is_dedicated_and_back_and_its_jobs_lose_no_attempt__b8(
    yard: Yard, adapters: Path, digests: list[str]
) -> None:
    """What it held for others goes back to the stream, for who can run it."""
    waits = await yard.bus.nc.subscribe("lease.waits")
    await yard.worker(adapters_dir=adapters, rows=1, lookahead=4, echo_delay_seconds=600.0)
    for name, digest, seconds in (("runs", None, 2.0), ("waits", None, 0.05), ("own", digests[0], 0.05)):
        assert await assign(yard, name, digest, seconds=seconds) == []
    two = (OrderOutcome.REFUSED, "2 adapters: a worker serves one alone, or all")
    assert await order(yard, OrderVerb.DEDICATE, *digests[:2]) == [two] * 2
    assert await order(yard, OrderVerb.DEDICATE, digests[0]) == [QUEUED]
    assert await order(yard, OrderVerb.DEDICATE, digests[0]) == [THERE]
    assert await assign(yard, "late") == [RefusalReason.DEDICATED]
    alone = f"the worker serves only {digests[0]}"
    assert await order(yard, OrderVerb.PREFETCH, digests[1]) == [(OrderOutcome.REFUSED, alone)]
    assert await order(yard, OrderVerb.PIN, digests[1]) == [
        (OrderOutcome.REFUSED, f"{alone}, and uses no slots")
    ]
    assert await order(yard, OrderVerb.UNDEDICATE, digests[1]) == [(OrderOutcome.REFUSED, alone)]
    assert (await waits.next_msg(timeout=30)).data == b"-NAK"
    for name in ("runs", "own"):
        assert (await yard.result(name)).state is ResultState.SUCCEEDED
    assert (await yard.advert()).dedicated == digests[0]
    assert await yard.stored("waits") is None
    assert await order(yard, OrderVerb.UNDEDICATE, digests[0]) == [QUEUED]
    assert await order(yard, OrderVerb.UNDEDICATE, digests[0]) == [THERE]
    assert await assign(yard, "after") == []
    assert (await yard.result("after")).state is ResultState.SUCCEEDED


async def test_a_stopping_worker_follows_no_orders(
    yard: Yard, adapters: Path, digests: list[str], wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker: Process = await yard.worker(adapters_dir=adapters, echo_delay_seconds=600.0, drain_seconds=600.0)
    await yard.publish(Job(id="j", prompt="j"))

    async def handed_over() -> bool:
        return (await yard.status()).handed_over == 1

    await wait_until(handed_over)
    stopping = asyncio.create_task(worker.stop())

    async def draining() -> bool:
        return (await yard.advert()).load.draining

    await wait_until(draining)
    assert await order(yard, OrderVerb.PREFETCH, digests[0]) == [
        (OrderOutcome.REFUSED, "the worker is stopping")
    ]
    await yard.cancel("j")
    await stopping
