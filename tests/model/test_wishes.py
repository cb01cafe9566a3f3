"""Wishes for an engine's memory and weights: of several, at any time and from any thread, the last holds."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.memory.pins import Pins

WaitUntil = Callable[..., Awaitable[None]]
GATE_SECONDS = 30.0
ROUNDS = 300


class Folders(dict[str, Path]):
    """Where adapters are; at a shut gate whoever looks one up waits, and may be led astray."""

    def __init__(self, folders: dict[str, Path]) -> None:
        super().__init__(folders)
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.astray = False

    def shut(self, *, astray: bool = False) -> None:
        """For the next one; later ones pass."""
        self.astray = astray
        self.waiting.clear()
        self.gate.clear()

    def get(self, key: str, default: object = None) -> Path | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # all that a reader asks
        """As a dictionary's."""
        if not self.gate.is_set() and not self.waiting.is_set():
            self.waiting.set()
            assert self.gate.wait(GATE_SECONDS)
            return Path("nowhere") if self.astray else super().get(key)
        return super().get(key)


@pytest.fixture
def folders(tiny_adapters: dict[str, Path]) -> Folders:
    return Folders(tiny_adapters)


@pytest.fixture
def engine(tiny_model: Path, folders: Folders) -> Iterator[PackedEngine]:
    config = EngineConfig(
        slots=4, max_rank=16, rows=2, context_tokens=64, precision=Precision.FP32, device="cpu", threads=1
    )
    made = PackedEngine(tiny_model, folders, config)
    made.start()
    yield made
    folders.gate.set()
    made.stop()
    made.check()


def heard(engine: PackedEngine) -> bool:
    """Wait until the engine thread has heard every wish so far."""
    done = threading.Event()
    engine._inbox.put(done.set)
    return done.wait(GATE_SECONDS)


def begin_load(engine: PackedEngine, folders: Folders, digest: str) -> None:
    """The loader has begun, and waits at the gate."""
    folders.shut()
    engine.prefetch(digest)
    assert folders.waiting.wait(GATE_SECONDS)


async def test_a_merge_that_failed_answers_no_later_wish_for_the_same_adapter__c10(
    engine: PackedEngine, folders: Folders, wait_until: WaitUntil
) -> None:
    wanted = next(iter(folders))
    folders.shut(astray=True)
    engine.dedicate(wanted)
    assert folders.waiting.wait(GATE_SECONDS)
    engine.dedicate(None)
    engine.dedicate(wanted)
    assert heard(engine)
    folders.gate.set()
    await wait_until(lambda: engine.residency().dedicated == wanted)
    assert engine.residency().serves_only == wanted


async def test_an_adapter_unloaded_while_it_is_loaded_does_not_stay__c3(
    engine: PackedEngine, folders: Folders, wait_until: WaitUntil
) -> None:
    first, second, *_ = folders
    begin_load(engine, folders, first)
    engine.unload(first)
    assert heard(engine)
    folders.gate.set()
    engine.prefetch(second)  # after the first
    await wait_until(lambda: engine.residency().host == frozenset({second}))
    engine.prefetch(first)  # and it can come back
    await wait_until(lambda: engine.residency().host == frozenset({first, second}))


async def test_an_adapter_wanted_again_while_it_should_leave_stays__c3_c4(
    engine: PackedEngine, folders: Folders, wait_until: WaitUntil
) -> None:
    first, second, *_ = folders
    begin_load(engine, folders, first)
    engine.unload(first)
    engine.prefetch(first)
    assert heard(engine)
    folders.gate.set()
    engine.prefetch(second)
    await wait_until(lambda: engine.residency().host == frozenset({first, second}))


@pytest.fixture
def _yielding_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that has changed the pins lets others go first."""

    def yielding(real: Callable[[Pins, str], None]) -> Callable[[Pins, str], None]:
        def change(pins: Pins, digest: str) -> None:
            real(pins, digest)
            os.sched_yield()

        return change

    for name in ("add", "discard"):
        monkeypatch.setattr(Pins, name, yielding(getattr(Pins, name)))


def together(*calls: Callable[[], None]) -> None:
    """On a thread each, from the same moment on."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], None]) -> None:
        start.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("_yielding_pins")
@pytest.mark.parametrize("back", ["unpin", "unload"])
def test_what_is_pinned_is_what_counts_as_pinned_whoever_came_last__c3(
    engine: PackedEngine, folders: Folders, back: str
) -> None:
    wanted = next(iter(folders))
    for _ in range(ROUNDS):
        together(lambda: engine.pin(wanted), lambda: getattr(engine, back)(wanted))
        assert heard(engine)
        assert (wanted in engine._pins) == (wanted in engine._core.residents.slots.pinned)


def test_a_pin_that_was_dropped_meanwhile_is_not_half_there__c3(
    engine: PackedEngine, folders: Folders
) -> None:
    """Its load failed after the same adapter was pinned once more, and before the engine heard of that."""
    wanted = next(iter(folders))
    engine.pin(wanted)
    assert heard(engine)

    def pin_and_drop() -> None:
        engine.pin(wanted)
        engine._core.residents.load_failed(wanted)

    engine._inbox.put(pin_and_drop)
    assert heard(engine)  # it ran
    assert heard(engine)  # and so has the pin that it left behind
    assert (wanted in engine._pins) == (wanted in engine._core.residents.slots.pinned)
