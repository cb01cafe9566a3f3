"""Adapters that come back from packed files, and in eight bits, through the whole engine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs

from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded, Tier
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.memory.host import HostTier
from lorayard_workers.memory.loader import MAX_UNKEPT, Loader, LoadResult
from lorayard_workers.memory.packing import HostAdapter
from lorayard_workers.memory.quantized import Storage, quantize
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]
WaitUntil = Callable[..., Awaitable[None]]

SMALL_HOST_BYTES = 600_000
"""Holds the largest of the eight adapters in fp32, and not all eight in eight bits."""


def ask(request_id: str, adapter: str | None) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id, prompt="Hello there", adapter=adapter, sampling=Sampling(max_new_tokens=8)
    )


def texts(outcomes: dict[str, Outcome]) -> dict[str, str]:
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes.values()), outcomes
    return {name: outcome.text for name, outcome in outcomes.items() if isinstance(outcome, Succeeded)}


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.safetensors"))


@pytest.fixture
def source(tmp_path: Path, tiny_adapters: dict[str, Path]) -> dict[str, Path]:
    """A copy that a test may spoil."""
    return {
        digest: Path(shutil.copytree(folder, tmp_path / "source" / str(number)))
        for number, (digest, folder) in enumerate(tiny_adapters.items())
    }


@pytest.mark.parametrize("storage", list(Storage))
async def test_evicted_adapters_come_back_from_their_packed_files__c2_c9(
    start_yard: StartYard,
    tmp_path: Path,
    source: dict[str, Path],
    wait_until: WaitUntil,
    storage: Storage,
) -> None:
    """Even when the folders they came from are gone: a digest names content."""
    yard = start_yard(
        slots=1, host_bytes=SMALL_HOST_BYTES, packed_dir=tmp_path / "packed", adapter_storage=storage
    )
    yard.adapters.clear()
    yard.adapters.update(source)
    requests = [ask(digest, digest) for digest in source]
    first = texts(yard.run(*requests))
    await wait_until(lambda: len(files(tmp_path / "packed")) == len(source))
    shutil.rmtree(tmp_path / "source")
    loads = yard.engine.residency().disk_loads
    assert texts(yard.run(*requests)) == first
    residency = yard.engine.residency()
    assert residency.disk_loads > loads
    assert residency.host_bytes <= SMALL_HOST_BYTES
    assert len(set(first.values())) == len(source)


async def test_another_engine_shares_the_files_and_another_setting_does_not__c9(
    start_yard: StartYard, tmp_path: Path, source: dict[str, Path], wait_until: WaitUntil
) -> None:
    packed = tmp_path / "packed"
    digest = next(iter(source))

    def answer(**settings: Any) -> str:
        yard = start_yard(packed_dir=packed, **settings)
        yard.adapters.update(source)
        return texts(yard.run(ask("a", digest)))["a"]

    wanted = answer()
    await wait_until(lambda: len(files(packed)) == 1)
    written = files(packed)
    assert answer() == wanted
    assert files(packed) == written
    answer(adapter_storage=Storage.INT8)
    await wait_until(lambda: len(files(packed)) == 2)
    assert answer() == wanted


async def test_a_spoiled_packed_file_is_made_anew_and_nobody_notices__c9_g3(
    start_yard: StartYard, tmp_path: Path, source: dict[str, Path], wait_until: WaitUntil
) -> None:
    packed = tmp_path / "packed"
    digest = next(iter(source))
    yard = start_yard(packed_dir=packed)
    yard.adapters.update(source)
    wanted = texts(yard.run(ask("a", digest)))
    await wait_until(lambda: len(files(packed)) == 1)
    file = packed / files(packed)[0]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-100])
    spoiled = file.stat().st_size
    other = start_yard(packed_dir=packed)
    other.adapters.update(source)
    with capture_logs() as logs:
        assert texts(other.run(ask("a", digest))) == wanted
    assert "packed_file_refused" in {log["event"] for log in logs}
    await wait_until(lambda: len(files(packed)) == 1 and file.stat().st_size > spoiled)


async def test_an_adapter_that_was_removed_is_unknown_though_its_file_is_there__c9(
    start_yard: StartYard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    yard = start_yard(packed_dir=tmp_path / "packed", slots=1, host_bytes=SMALL_HOST_BYTES)
    digest = next(iter(yard.adapters))
    texts(yard.run(ask("a", digest)))
    await wait_until(lambda: files(tmp_path / "packed"))
    del yard.adapters[digest]
    outcome = yard.run(ask("b", digest))["b"]
    assert isinstance(outcome, Failed)
    assert outcome.code == "unknown_adapter"


async def test_a_lowered_rank_limit_holds_for_packed_files_too__b11(
    start_yard: StartYard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folder = make_tiny_adapter(tmp_path / "a", seed=5, rank=12)
    first = start_yard(packed_dir=tmp_path / "packed")
    digest = first.add(folder)
    texts(first.run(ask("a", digest)))
    await wait_until(lambda: files(tmp_path / "packed"))
    second = start_yard(packed_dir=tmp_path / "packed", max_rank=10)  # 12 fills the same two pages
    second.add(folder)
    outcome = second.run(ask("a", digest))["a"]
    assert isinstance(outcome, Failed)
    assert outcome.code == "adapter_too_large"


def test_int8_takes_half_of_bf16_and_a_quarter_of_fp32__c9(start_yard: StartYard) -> None:
    def host_bytes(**settings: Any) -> int:
        yard = start_yard(**settings)
        texts(yard.run(*(ask(digest, digest) for digest in yard.adapters)))
        held = yard.engine.residency().host_bytes
        assert isinstance(held, int)
        return held

    assert host_bytes(adapter_storage=Storage.INT8) < 0.3 * host_bytes()


def test_int8_loses_at_most_half_a_step_of_each_rows_own_scale__c9() -> None:
    rows = torch.randn(6, 3, 40, generator=torch.Generator().manual_seed(0))
    rows *= torch.tensor([1e-6, 1e-3, 0.1, 1.0, 30.0, 0.0])[:, None, None]
    small = quantize(rows)
    error = (small.restore() - rows).abs().amax(-1)
    assert (error <= rows.abs().amax(-1) / 127 / 2 * 1.0001).all()
    assert small.size_bytes == rows.numel() + 4 * 18


def test_tiers_are_told_apart_as_before_with_packed_files__c4(start_yard: StartYard, tmp_path: Path) -> None:
    yard = start_yard(slots=1, packed_dir=tmp_path / "packed")
    one, two, *_ = yard.adapters
    found = [yard.run(ask("a", digest))["a"].tier for digest in (one, one, two, one)]
    assert found == [Tier.DISK, Tier.SLOT, Tier.DISK, Tier.HOST]


# --- when files are written


class Shelf:
    """Where a loader puts what it read, and what it did in which order."""

    def __init__(self, broken: bool = False) -> None:
        self.did: list[str] = []
        self.go = threading.Event()
        self.done = threading.Semaphore(0)
        self._broken = broken

    def read(self, digest: str) -> HostAdapter:
        assert self.go.wait(30)
        self.did.append(f"read {digest}")
        return HostAdapter(digest=digest, rank=8, groups=(), size_bytes=1)

    def keep(self, adapter: HostAdapter) -> None:
        self.did.append(f"keep {adapter.digest}")
        self.done.release()
        if self._broken:
            raise RuntimeError("the disk is gone")

    def heard(self, result: LoadResult) -> None:
        pass


@pytest.mark.parametrize("broken", [False, True])
def test_files_are_written_when_nothing_waits_or_too_many_are_unwritten__c4(broken: bool) -> None:
    shelf = Shelf(broken)
    loader = Loader(read=shelf.read, host=HostTier(budget_bytes=99), on_result=shelf.heard, keep=shelf.keep)
    loader.start()
    count = MAX_UNKEPT + 3
    for number in range(count):
        loader.load(str(number))
    with capture_logs():
        shelf.go.set()
        for _ in range(count):
            assert shelf.done.acquire(timeout=30)
        loader.stop(30)
    unkept = 0
    for did in shelf.did:
        unkept += 1 if did.startswith("read") else -1
        assert 0 <= unkept <= MAX_UNKEPT + 1
    assert shelf.did[: MAX_UNKEPT + 1] == [f"read {n}" for n in range(MAX_UNKEPT + 1)]
    assert sorted(shelf.did) == sorted(f"{what} {n}" for what in ("read", "keep") for n in range(count))
