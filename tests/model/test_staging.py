"""What is brought to host memory ahead of time: before its rows, behind everybody else's (C4)."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.model.conftest import Outcomes, ask

from lorayard_workers.engine.outcome import Succeeded, Tier
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.host import AHEAD_SECONDS, HostTier
from lorayard_workers.memory.loader import Loaded, Loader, LoadFailed, LoadResult, NotKept
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.reader import AdapterReader

StartYard = Callable[..., Any]
WaitUntil = Callable[..., Awaitable[None]]

GATE_SECONDS = 30.0
BURST = 50


def adapter(digest: str, size_bytes: int = 1) -> HostAdapter:
    return HostAdapter(digest=digest, rank=8, groups=(), size_bytes=size_bytes)


class Reads:
    """What engines have begun to read, and how many reads may come to an end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Semaphore(0)

    def let(self, count: int) -> None:
        """So many more."""
        for _ in range(count):
            self.go.release()


class Shelf:
    """Where a loader reads; it stops before each adapter until the test lets it go on."""

    def __init__(self, host: HostTier) -> None:
        self.read_: list[str] = []
        self.results: list[LoadResult] = []
        self.reading = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.told = threading.Semaphore(0)
        self.loader = Loader(read=self.read, host=host, on_result=self.heard)
        self.loader.start()

    def read(self, digest: str) -> HostAdapter:
        self.read_.append(digest)
        self.reading.release()
        assert self.go.acquire(timeout=GATE_SECONDS)
        if digest == "broken":
            raise ValueError(digest)
        return adapter(digest)

    def heard(self, result: LoadResult) -> None:
        self.results.append(result)
        self.told.release()

    def begin(self) -> None:
        """The loader has the next adapter in hand."""
        assert self.reading.acquire(timeout=GATE_SECONDS)

    def finish(self, count: int) -> None:
        """So many loads come to their end."""
        for _ in range(count):
            self.go.release()
        for _ in range(count):
            assert self.told.acquire(timeout=GATE_SECONDS)


def test_what_a_row_waits_for_is_loaded_right_after_the_prefetch_in_hand__c4() -> None:
    shelf = Shelf(HostTier(budget_bytes=99))
    for number in range(BURST):
        shelf.loader.prefetch(str(number))
    shelf.begin()
    shelf.loader.load("wanted")
    shelf.loader.load("40")
    shelf.loader.prefetch("wanted")
    shelf.finish(BURST + 1)
    shelf.loader.stop(GATE_SECONDS)
    assert shelf.read_[:4] == ["0", "wanted", "40", "1"]
    assert sorted(shelf.read_) == sorted([*map(str, range(BURST)), "wanted"]), "each of them once"


def test_room_is_counted_in_adapters_as_large_as_the_largest_so_far__a4() -> None:
    host = HostTier(budget_bytes=10)
    assert host.room > 0, "nobody knows how large they are"
    host.put(adapter("a", size_bytes=1))
    assert host.room == 9
    host.put(adapter("b", size_bytes=4))
    assert host.room == 1
    host.drop("b")
    assert host.room == 2


def test_what_is_asked_for_counts_as_loading_until_it_is_there__a4() -> None:
    host = HostTier(budget_bytes=99)
    shelf = Shelf(host)
    for digest in ("a", "broken"):
        shelf.loader.prefetch(digest)
    shelf.begin()
    shelf.loader.load("b")
    assert shelf.loader.loading() == {"a", "b", "broken"}
    shelf.finish(1)
    shelf.begin()
    assert shelf.loader.loading() == {"b", "broken"}
    assert host.digests() == {"a"}
    shelf.finish(2)
    shelf.loader.stop(GATE_SECONDS)
    assert not shelf.loader.loading()
    assert host.digests() == {"a", "b"}
    assert isinstance(shelf.results[-1], LoadFailed)


def test_a_prefetch_takes_no_room_from_what_rows_need__c4() -> None:
    shelf = Shelf(HostTier(budget_bytes=2, needed=lambda: {"a", "b"}))
    for digest in ("a", "b"):
        shelf.loader.load(digest)
    shelf.loader.prefetch("c")
    shelf.finish(3)
    assert shelf.results == [
        Loaded(adapter=adapter("a")),
        Loaded(adapter=adapter("b")),
        NotKept(digest="c"),
    ]
    shelf.loader.load("c")
    shelf.finish(1)
    shelf.loader.stop(GATE_SECONDS)
    assert shelf.results[-1] == Loaded(adapter=adapter("c")), "a row that waits for it gets it"


def test_a_prefetch_that_a_row_comes_to_want_meanwhile_gets_room__c4() -> None:
    host = HostTier(budget_bytes=1, needed=lambda: {"a"})
    host.put(adapter("a"))
    shelf = Shelf(host)
    shelf.loader.prefetch("b")
    shelf.begin()
    shelf.loader.load("b")
    shelf.finish(1)
    shelf.loader.stop(GATE_SECONDS)
    assert shelf.results == [Loaded(adapter=adapter("b"))]
    assert shelf.read_ == ["b"]
    assert host.digests() == {"b"}


def test_prefetches_do_not_push_each_other_out_before_their_first_use__c3_c4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("lorayard_workers.memory.host.time.time", lambda: now)
    host = HostTier(budget_bytes=2)
    assert host.put_ahead(adapter("a"))
    assert host.put_ahead(adapter("b"))
    assert not host.put_ahead(adapter("c"))
    assert host.get("a") is not None
    assert host.put_ahead(adapter("c")), "one that was used is like any other"
    assert host.digests() == {"b", "c"}
    now += AHEAD_SECONDS
    assert host.put_ahead(adapter("d")), "nor do they stay for ever"
    with pytest.raises(CapacityError, match="host_bytes is 2"):
        host.put_ahead(adapter("e", size_bytes=3))
    host.check()


def test_a_load_takes_what_nobody_needs_first_and_what_rows_need_at_last__c3() -> None:
    host = HostTier(budget_bytes=2, needed=lambda: {"old"})
    for digest in ("old", "idle", "new"):
        host.put(adapter(digest))
    assert host.digests() == {"old", "new"}
    host.put(adapter("large", size_bytes=2))
    assert host.digests() == {"large"}


async def test_an_adapter_prefetched_while_rows_decode_starts_without_a_disk_load__c4(
    start_yard: StartYard, wait_until: WaitUntil
) -> None:
    yard = start_yard(slots=2, rows=2, context_tokens=2048)
    busy, staged, *_ = yard.adapters
    outcomes = Outcomes()
    yard.engine.submit(ask("long", adapter=busy, max_new_tokens=2000, ignore_eos=True), outcomes)
    await wait_until(lambda: yard.engine.residency().rows_running == 1)
    yard.engine.prefetch(staged)
    await wait_until(lambda: staged in yard.engine.residency().host)
    assert yard.engine.residency().rows_running == 1, "it decodes on"
    loads = yard.engine.residency().disk_loads
    outcome = yard.run(ask("staged", adapter=staged))["staged"]
    assert isinstance(outcome, Succeeded)
    assert (outcome.tier, yard.engine.residency().disk_loads) == (Tier.HOST, loads)
    yard.engine.cancel("long")
    outcomes.next()


@pytest.fixture
def read_at_will(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    """Engines of the test read adapters one by one, as the test lets them; unknown digests too."""
    reads = Reads()
    read = AdapterReader.read

    def read_later(reader: AdapterReader, digest: str) -> HostAdapter:
        reads.begun.append(digest)
        assert reads.go.acquire(timeout=GATE_SECONDS)
        known = digest if digest in reader.folders else next(iter(reader.folders))
        return replace(read(reader, known), digest=digest)

    monkeypatch.setattr(AdapterReader, "read", read_later)
    yield reads
    reads.let(99)


async def test_a_burst_of_prefetches_delays_a_rows_load_by_the_one_in_hand__c4(
    start_yard: StartYard, read_at_will: Reads, wait_until: WaitUntil
) -> None:
    yard = start_yard()
    outcomes = Outcomes()
    for number in range(BURST):
        yard.engine.prefetch(f"sha256:{number}")
    await wait_until(lambda: read_at_will.begun)
    wanted = next(iter(yard.adapters))
    yard.engine.submit(ask("a", adapter=wanted), outcomes)
    read_at_will.let(2)
    outcome = outcomes.next()
    assert isinstance(outcome, Succeeded)
    assert outcome.tier is Tier.DISK
    assert read_at_will.begun[:2] == ["sha256:0", wanted]


async def test_a_full_host_tier_keeps_what_a_waiting_row_needs__c3_c4(
    start_yard: StartYard, tiny_adapters: dict[str, Path], wait_until: WaitUntil
) -> None:
    probe = start_yard()
    busy, needed, _, other, *_ = tiny_adapters
    for digest in (needed, busy):
        probe.engine.prefetch(digest)
    await wait_until(lambda: {needed, busy} == probe.engine.residency().host)
    room = probe.engine.residency().host_bytes

    yard = start_yard(slots=1, rows=2, host_bytes=room, context_tokens=2048, ageing_seconds=3600.0)
    outcomes = Outcomes()
    yard.engine.submit(ask("long", adapter=busy, max_new_tokens=2000, ignore_eos=True), outcomes)
    await wait_until(lambda: yard.engine.residency().rows_running == 1)
    yard.engine.submit(ask("waits", adapter=needed), outcomes)
    await wait_until(lambda: needed in yard.engine.residency().host)
    yard.engine.prefetch(other)
    await wait_until(lambda: not yard.engine.residency().loading)
    assert yard.engine.residency().host == {needed, busy}
    loads = yard.engine.residency().disk_loads
    yard.engine.cancel("long")
    found = outcomes.by_id(2)
    assert isinstance(found["waits"], Succeeded)
    assert yard.engine.residency().disk_loads == loads
    yard.engine.prefetch(other)
    await wait_until(lambda: other in yard.engine.residency().host)
