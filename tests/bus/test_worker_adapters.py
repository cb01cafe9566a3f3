"""Which adapters a worker serves, and what it tells of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def job(name: str, prompt: str | None = None) -> Job:
    return Job(id=name, prompt=name if prompt is None else prompt)


async def test_a_worker_without_the_files_does_not_spoil_those_of_one_that_has_them(
    yard: Yard, adapters: Path
) -> None:
    """B6: it is asked once and refuses; the job waits for the other, however busy that one is."""
    await yard.dispatcher()
    await yard.worker("has", adapters_dir=adapters, rows=1, lookahead=0, echo_delay_seconds=0.3)
    await yard.worker("lacks")
    for number in range(3):
        await yard.publish(job(f"j{number}"), adapter=ADAPTER)
    for number in range(3):
        result = await yard.result(f"j{number}")
        assert result.maker is not None, result.error
        assert result.maker.worker == "has"


async def test_an_adapter_that_no_worker_has_the_files_of_is_answered(yard: Yard, adapters: Path) -> None:
    """It is registered, so it is not unknown; but nobody can serve it."""
    await yard.dispatcher()
    gone = await yard.worker("has", adapters_dir=adapters)
    await gone.stop()
    await yard.worker("lacks")
    await yard.publish(job("j"), adapter=ADAPTER)
    error = (await yard.result("j")).error
    assert error is not None
    assert (error.code, error.kind) == ("adapter_unavailable", ErrorKind.RETRYABLE)


async def test_an_adapter_larger_than_every_slot_is_refused_with_the_sizes__b11_g3(
    yard: Yard, adapters: Path
) -> None:
    """Whether nobody ever took it, or the one that had slots for it is gone."""
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",), rank=48)
    await yard.dispatcher()
    sizes = "needs 48, but max_rank is 32"
    await yard.worker("small", adapters_dir=adapters, max_rank=32)
    await yard.publish(job("never"), adapter=f"{ADAPTER}@2")
    error = (await yard.result("never")).error
    assert error is not None
    assert (error.code, error.kind) == ("unknown_adapter", ErrorKind.PERMANENT)
    assert sizes in error.message
    large = await yard.worker("large", adapters_dir=adapters)
    assert (await yard.record(ADAPTER, "2")).columns == 48
    await yard.publish(job("large"), adapter=f"{ADAPTER}@2")
    assert (await yard.result("large")).state is ResultState.SUCCEEDED
    await large.stop()
    await yard.publish(job("later"), adapter=f"{ADAPTER}@2")
    error = (await yard.result("later")).error
    assert error is not None
    assert (error.code, error.kind) == ("adapter_unavailable", ErrorKind.RETRYABLE)
    assert sizes in error.message
    await yard.publish(job("other"), adapter=f"{ADAPTER}@1")
    assert (await yard.result("other")).state is ResultState.SUCCEEDED


async def test_other_bytes_under_a_registered_version_are_not_served(
    yard: Yard, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version never changes its bytes (A4): the second worker serves its other version, not this one."""
    await yard.worker("w1", adapters_dir=adapters)
    other = tmp_path / "other"
    make_tiny_adapter(other / ADAPTER / "1", seed=2, targets=("q_proj",))
    make_tiny_adapter(other / ADAPTER / "2", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker("w2", adapters_dir=other)
    assert (await yard.record(ADAPTER)).registered_by == "w1"
    assert (await yard.record(ADAPTER, "2")).registered_by == "w2"
    assert "adapter_conflicted" in capsys.readouterr().out
    for name, version, worker in (("j1", "1", "w1"), ("j2", "2", "w2")):
        await yard.publish(job(name), adapter=f"{ADAPTER}@{version}")
        maker = (await yard.result(name)).maker
        assert maker is not None
        assert (maker.worker, maker.digest) == (worker, (await yard.record(ADAPTER, version)).digest)


async def test_a_folder_nobody_can_ask_for_hides_itself_and_not_the_worker(
    yard: Yard, adapters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """G3: upper-case names and odd versions are said in the log; everything else is served."""
    make_tiny_adapter(adapters / "Acme" / "tiny" / "echo" / "1", seed=2, targets=("q_proj",))
    make_tiny_adapter(adapters / ADAPTER / "v 1", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    told = capsys.readouterr().out
    assert told.count("adapter_refused") == 2
    await yard.publish(job("j"), adapter=ADAPTER)
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_the_advert_names_the_folders_that_are_not_served(yard: Yard, adapters: Path) -> None:
    """G5: whoever asks for one should not have to read a worker's log to learn why."""
    (adapters / ADAPTER / "2").mkdir()
    await yard.worker(adapters_dir=adapters)
    (refused,) = (await yard.advert()).refused_adapters
    assert (refused.name, refused.version) == (ADAPTER, "2")
    assert "adapter_config.json is missing" in refused.reason


async def test_the_advert_tells_what_the_worker_holds(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    """A4: the loaded adapters, by digest, in the bucket that routing reads."""
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters, slots=3, rows=7, lookahead=2)
    fresh = await yard.advert()
    assert (fresh.slots, fresh.slot_count, fresh.rows_max, fresh.load.room) == ((), 3, 7, 9)
    await yard.publish(job("j"), adapter=ADAPTER)
    await yard.result("j")
    digest = (await yard.record(ADAPTER)).digest

    async def told() -> bool:
        now = await yard.advert()
        return [slot.digest for slot in now.slots] == [digest] and now.counters.jobs_succeeded == 1

    await wait_until(told)
    later = await yard.advert()
    assert later.sequence > fresh.sequence
    assert later.epoch == fresh.epoch
    assert (later.counters.slot_loads, later.load.room) == (1, 9)
