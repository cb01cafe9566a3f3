"""Workers fetch what they lack from the store (D2, C2): no restart, and verified before use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.order import AdapterOrder, OrderOutcome, OrderReply, OrderVerb
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch, Change
from lorayard_shared.registry.objects import Objects
from lorayard_shared.registry.records import Author, Records
from lorayard_workers.adapters.pulled_folder import PulledFolder
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
ANA = Author(actor="ana@laptop")
WaitUntil = Callable[..., Awaitable[None]]


def job(name: str) -> Job:
    return Job(id=name, prompt=name)


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


@pytest.fixture
def publish(yard: Yard, client: Client, tmp_path: Path) -> Callable[..., Awaitable[AdapterRecord]]:
    """Push a version and let it serve."""

    async def publish(version: str = "1", *, rank: int = 8, template: str | None = None) -> AdapterRecord:
        folder = make_tiny_adapter(
            tmp_path / f"v{version}", seed=int(version), rank=rank, targets=("q_proj",)
        )
        if template is not None:
            (folder / "prompt_template.txt").write_text(template)
        await client.adapters.push(folder, name=NAME, version=version)
        records = Records(yard.bus)
        await records.move(NAME, version, AdapterState.VALIDATED, ANA, verb="validate")
        return (await records.move(NAME, version, AdapterState.ACTIVE, ANA, verb="activate")).record

    return publish


@pytest.fixture
def heard_of(yard: Yard, wait_until: WaitUntil) -> Callable[[str], Awaitable[None]]:
    """Wait until the dispatcher knows a version: it refuses a job that is faster than the bucket's news."""
    tries = count()

    async def heard_of(version: str) -> None:
        async def known() -> bool:
            name = f"heard-{version}-{next(tries)}"
            await yard.publish(job(name), adapter=f"{NAME}@{version}")
            error = (await yard.result(name)).error
            return error is None or error.code != "unknown_adapter"

        await wait_until(known)

    return heard_of


async def test_a_worker_that_never_saw_an_adapter_answers_with_it__d2_d5(
    yard: Yard,
    publish: Callable[..., Awaitable[AdapterRecord]],
    heard_of: Callable[[str], Awaitable[None]],
    tmp_path: Path,
) -> None:
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    epoch = (await yard.advert()).epoch
    first = await publish("1", template="[1] {prompt}")
    await heard_of("1")
    await yard.publish(job("j1"), adapter=NAME)
    result = await yard.result("j1")
    assert (result.text, result.error) == ("[1] j1", None)
    assert result.maker is not None
    assert result.maker.digest == first.digest
    second = await publish("2", template="[2] {prompt}")
    await heard_of("2")
    await yard.publish(job("j2"), adapter=NAME)
    assert (await yard.result("j2")).text == "[2] j2"
    assert second.digest != first.digest
    assert (await yard.advert()).epoch == epoch, "no restart"


async def test_many_jobs_of_one_adapter_fetch_it_once(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path
) -> None:
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await publish()
    await yard.dispatcher()
    for number in range(20):
        await yard.publish(job(f"j{number}"), adapter=NAME)
    for number in range(20):
        assert (await yard.result(f"j{number}")).state is ResultState.SUCCEEDED
    assert len(list((tmp_path / "pulled").glob("sha256-*.incoming"))) == 0


async def test_two_workers_share_a_folder(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path, bus_url: str
) -> None:
    """The second finds what the first has fetched, though the store has lost it."""
    record = await publish()
    await yard.dispatcher()
    first = await yard.worker("w1", pulled_dir=tmp_path / "pulled")
    await yard.publish(job("j1"), adapter=NAME)
    assert (await yard.result("j1")).state is ResultState.SUCCEEDED
    await first.stop()
    for file in record.files:
        await Objects(yard.bus, "blobs").remove(f"file/{file.sha256}")
    await yard.worker("w2", pulled_dir=tmp_path / "pulled")
    await yard.publish(job("j2"), adapter=NAME)
    result = await yard.result("j2")
    assert (result.state, result.error) == (ResultState.SUCCEEDED, None)


async def test_an_order_brings_the_files_too(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path, wait_until: WaitUntil
) -> None:
    record = await publish()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await wait_until(lambda: _knows(yard, record.digest))

    async def in_slot() -> bool:
        return record.digest in {slot.digest for slot in (await yard.advert()).slots}

    await wait_until(in_slot)
    assert PulledFolder(tmp_path / "pulled", 1).hold(record.digest)


async def test_an_order_for_what_the_worker_has_not_heard_of_yet_waits_for_the_news__d2_d5(
    yard: Yard,
    publish: Callable[..., Awaitable[AdapterRecord]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused, it would pass for lacking, and every job of it be answered so."""
    asked = asyncio.Event()

    class Late(BucketWatch):
        """Hears of nothing until it is to catch up."""

        async def run(self) -> None:
            self.ready.set()
            await asked.wait()
            await super().run()

        async def catch_up(self) -> None:
            asked.set()
            await super().catch_up()

    def watch(bus: Bus, kind: str, change: Change) -> BucketWatch:
        return (Late if kind == "adapters" else BucketWatch)(bus, bus.subjects.bucket(kind), change)

    monkeypatch.setattr("lorayard_workers.crew.watch_from_worker", watch)
    monkeypatch.setattr("lorayard_workers.service.shelf.HEAR_SECONDS", 30.0)
    record = await publish()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    assert await _knows(yard, record.digest)


async def test_a_store_without_the_files_fails_the_job_and_says_why__g3(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path
) -> None:
    record = await publish()
    await Objects(yard.bus, "blobs").remove(f"file/{record.files[0].sha256}")
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled", max_attempts=1)
    await yard.publish(job("j"), adapter=NAME)
    error = (await yard.result("j")).error
    assert error is not None
    assert error.code == "adapter_not_fetched"
    assert "it has no list of parts; `lorayard adapters verify --repair" in error.message


async def test_a_job_whose_adapter_is_being_fetched_can_be_cancelled(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path, wait_until: WaitUntil
) -> None:
    record = await publish()
    # Another worker of this machine is at it, and never ends.
    claim = PulledFolder(tmp_path / "pulled", 1).claim(record.digest)
    assert claim is not None
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await yard.publish(job("j"), adapter=NAME)

    async def fetching() -> bool:
        return record.digest in (await yard.advert()).loading

    await wait_until(fetching)
    assert await yard.cancel("j") is CancelOutcome.CANCELLED
    assert (await yard.result("j")).state is ResultState.CANCELLED


async def _knows(yard: Yard, digest: str) -> bool:
    """Whether the worker follows an order about the adapter."""
    subject = yard.bus.subjects.control("w1", OrderVerb.LOAD)
    reply = await yard.bus.nc.request(subject, encode(AdapterOrder(digests=(digest,))), timeout=30)
    (answer,) = decode(OrderReply, reply.data).answers
    return answer.outcome is not OrderOutcome.UNKNOWN_ADAPTER


async def test_an_adapter_of_another_base_model_is_not_fetched(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path, wait_until: WaitUntil
) -> None:
    other = await publish()

    def other_base(record: AdapterRecord) -> AdapterRecord:
        return record.model_copy(update={"base_digest": "sha256:" + "ab" * 32})

    await Records(yard.bus).change(NAME, "1", other_base, ANA, verb="test")
    fits = await publish("2")
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await wait_until(lambda: _knows(yard, fits.digest))
    assert not await _knows(yard, other.digest)


async def test_what_does_not_fit_is_refused_by_each_worker_once(
    yard: Yard, publish: Callable[..., Awaitable[AdapterRecord]], tmp_path: Path
) -> None:
    """The record says rank 8, the files say 16: whoever fetched them knows better."""
    await publish(rank=16)

    def smaller(record: AdapterRecord) -> AdapterRecord:
        return record.model_copy(update={"rank": 8})

    await Records(yard.bus).change(NAME, "1", smaller, ANA, verb="test")
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled", max_rank=8)
    await yard.publish(job("j"), adapter=NAME)
    error = (await yard.result("j")).error
    assert error is not None
    assert error.code == "adapter_unavailable"
    assert not list((tmp_path / "pulled").glob("*.incoming"))


async def test_files_that_were_pushed_later_are_fetched_by_whoever_lacked_them(
    yard: Yard, client: Client, adapters: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Registered by a worker that is gone, lacked by another; then the files come into the store."""
    await yard.dispatcher()
    gone = await yard.worker("has", adapters_dir=adapters)
    await gone.stop()
    await yard.worker("lacks", pulled_dir=tmp_path / "pulled")
    await yard.publish(job("before"), adapter=NAME)
    assert (await yard.result("before")).error is not None
    await client.adapters.push(adapters / NAME / "1", name=NAME, version="1")
    tries = count()

    async def served() -> bool:
        name = f"after-{next(tries)}"  # dispatcher and worker hear of it when they do
        await yard.publish(job(name), adapter=NAME)
        return (await yard.result(name)).state is ResultState.SUCCEEDED

    await wait_until(served)


async def test_a_worker_that_stops_while_it_fetches_hands_the_job_back(
    long_lease_yard: Yard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    async with Client(settings=yard.settings) as client:
        folder = make_tiny_adapter(tmp_path / "v1", seed=1, targets=("q_proj",))
        record = (await client.adapters.push(folder, name=NAME, version="1")).record
    for state in (AdapterState.VALIDATED, AdapterState.ACTIVE):
        await Records(yard.bus).move(NAME, "1", state, ANA, verb="test")
    claim = PulledFolder(tmp_path / "slow", 1).claim(record.digest)
    assert claim is not None
    await yard.dispatcher()
    slow = await yard.worker("slow", pulled_dir=tmp_path / "slow", drain_seconds=0.0)
    await yard.publish(job("j"), adapter=NAME)

    async def fetching() -> bool:
        return record.digest in (await yard.advert("slow")).loading

    await wait_until(fetching)
    await asyncio.gather(slow.stop(), yard.worker("quick", pulled_dir=tmp_path / "quick"))
    result = await yard.result("j")
    assert result.maker is not None
    assert result.maker.worker == "quick"
