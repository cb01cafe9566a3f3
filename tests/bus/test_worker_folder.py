"""A watched folder of adapters (D5, D6): what is put there as a worker runs is found and registered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, Process, Yard

from lorayard import Client
from lorayard_schemas.adapter import record_key
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.order import AdapterOrder, OrderVerb
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_workers.service.registration import CONFLICTED
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
NEW = "acme/tiny/new"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def watching(yard: Yard, adapters: Path) -> Callable[..., Awaitable[Process]]:
    """Start an echo worker that looks at the folder all the time."""

    async def start(name: str = "w1", **given: Any) -> Process:
        usual: dict[str, Any] = {"adapters_dir": adapters, "adapters_scan_seconds": 0.02}
        return await yard.worker(name, **{**usual, **given})

    return start


def put(folder: Path, seed: int = 2) -> Path:
    """An adapter, as a move brings it: all at once."""
    made = make_tiny_adapter(folder.parent / f".{folder.name}", seed=seed, targets=("q_proj",))
    return made.rename(folder)


def alter(folder: Path, apart: Path) -> None:
    """Other weights in the place of those that a worker has read."""
    other = make_tiny_adapter(apart / "other", seed=9, targets=("q_proj",))
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)


async def answer(yard: Yard, name: str, adapter: str) -> JobResult:
    await yard.publish(Job(id=name, prompt=name), adapter=adapter)
    return await yard.result(name)


async def registered(yard: Yard, name: str, version: str) -> bool:
    async with Client(settings=yard.settings) as client:
        return f"{name}@{version}" in {record.label for record in await client.adapters()}


async def refusal(yard: Yard, version: str, worker: str = "w1") -> str | None:
    """What the advert says of a version that is not served."""
    told = (await yard.advert(worker)).refused_adapters
    return next((one.reason for one in told if one.version == version), None)


async def is_taken(yard: Yard, version: str, worker: str = "w1") -> bool:
    """Whether a worker has nothing against a version any more."""
    return await refusal(yard, version, worker) is None


async def test_what_is_put_there_serves_without_a_restart__d5_d6(
    yard: Yard, adapters: Path, watching: Callable[..., Awaitable[Process]], wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await watching()
    assert (await answer(yard, "before", NEW)).state is ResultState.FAILED
    (adapters / NEW).mkdir(parents=True)
    put(adapters / NEW / "1")
    put(adapters / ADAPTER / "2", seed=3)
    for name, version in ((NEW, "1"), (ADAPTER, "2")):
        await wait_until(partial(registered, yard, name, version))
    for name, version in ((NEW, "1"), (ADAPTER, "2")):
        await answer(yard, f"known-{version}", f"{name}@{version}")  # waits until the dispatcher knows it
        maker = (await answer(yard, f"{version}", name)).maker
        assert maker is not None
        assert maker.version == version  # a plain name gets the newest
    assert worker.running


async def test_a_half_copied_folder_is_not_judged_before_it_is_still__d6_g3(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    whole = make_tiny_adapter(tmp_path / "whole", seed=2, targets=("q_proj",))
    await watching()
    half = adapters / ADAPTER / "2"
    half.mkdir()
    shutil.copy(whole / CONFIG, half / CONFIG)
    # Nothing more comes for a while, so it is judged: once, with its reason, however often it is looked at.
    await wait_until(partial(refusal, yard, "2"))
    assert WEIGHTS in (await refusal(yard, "2") or "")
    put(adapters / ADAPTER / "3")
    await wait_until(partial(registered, yard, ADAPTER, "3"))
    (whole / WEIGHTS).rename(half / WEIGHTS)
    await wait_until(partial(registered, yard, ADAPTER, "2"))

    async def nothing_refused() -> bool:
        return not (await yard.advert()).refused_adapters

    await wait_until(nothing_refused)
    assert capsys.readouterr().out.count("adapter_refused") == 1


async def test_an_adapter_whose_folder_is_removed_is_answered_with_the_reason__d6(
    yard: Yard, adapters: Path, watching: Callable[..., Awaitable[Process]], wait_until: WaitUntil
) -> None:
    put(adapters / ADAPTER / "2")
    await yard.dispatcher()
    await watching()
    assert (await answer(yard, "there", f"{ADAPTER}@2")).state is ResultState.SUCCEEDED
    shutil.rmtree(adapters / ADAPTER / "2")
    await wait_until(partial(refusal, yard, "2"))
    gone = await answer(yard, "gone", f"{ADAPTER}@2")
    assert gone.error is not None
    assert (gone.error.code, gone.error.kind) == ("adapter_unavailable", ErrorKind.RETRYABLE)
    assert "its folder was removed" in gone.error.message
    assert (await answer(yard, "other", f"{ADAPTER}@1")).state is ResultState.SUCCEEDED
    put(adapters / ADAPTER / "2")  # the same bytes: it serves again
    await wait_until(partial(is_taken, yard, "2"))
    numbers = count()

    async def served() -> bool:
        name = f"back-{next(numbers)}"  # a dispatcher hears of the advert when it does
        return (await answer(yard, name, f"{ADAPTER}@2")).state is ResultState.SUCCEEDED

    await wait_until(served)


async def test_other_bytes_under_a_version_are_refused_and_the_old_ones_served_on__d1_d6(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    await yard.dispatcher()
    await watching()
    before = await answer(yard, "before", f"{ADAPTER}@1")  # it is in a slot now
    shutil.copy(adapters / ADAPTER / "1" / WEIGHTS, tmp_path / WEIGHTS)
    alter(adapters / ADAPTER / "1", tmp_path)
    await wait_until(partial(refusal, yard, "1"))
    put(adapters / ADAPTER / "2")
    await wait_until(partial(registered, yard, ADAPTER, "2"))
    after = await answer(yard, "after", f"{ADAPTER}@1")
    assert before.maker is not None
    assert after.maker is not None
    assert after.maker.digest == before.maker.digest == (await yard.record(ADAPTER)).digest
    assert capsys.readouterr().out.count("adapter_conflicted") == 1
    shutil.copy(tmp_path / WEIGHTS, adapters / ADAPTER / "1" / WEIGHTS)
    await wait_until(partial(is_taken, yard, "1"))


async def test_a_worker_that_lacked_an_adapter_is_asked_again_when_its_folder_has_changed__b6_d6(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    await yard.dispatcher()
    folder = tmp_path / "late"
    folder.mkdir()
    await (await watching("has")).stop()
    await watching("late", adapters_dir=folder)
    lacked = await answer(yard, "lacked", ADAPTER)
    assert lacked.error is not None
    assert lacked.error.code == "adapter_unavailable"
    shutil.copytree(adapters / ADAPTER, folder / ADAPTER)

    async def found() -> bool:
        return (await yard.advert("late")).folder_changes == 1

    await wait_until(found)

    async def served() -> bool:
        name = f"j{next(numbers)}"  # a dispatcher hears of the advert when it does
        return (await answer(yard, name, ADAPTER)).state is ResultState.SUCCEEDED

    numbers = count()
    await wait_until(served)


async def test_a_disk_that_is_away_has_not_lost_its_adapters__g2(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await yard.dispatcher()
    await watching()
    away = adapters.rename(adapters.with_name("away"))
    said: list[str] = []

    def told() -> bool:
        said.append(capsys.readouterr().out)
        return "folder_not_read" in "".join(said)

    await wait_until(told)
    for number in range(20):  # looks in between find it away still
        assert (await answer(yard, f"j{number}", ADAPTER)).state is ResultState.SUCCEEDED
    away.rename(adapters)
    put(adapters / ADAPTER / "2")
    await wait_until(partial(registered, yard, ADAPTER, "2"))
    assert not (await yard.advert()).refused_adapters
    assert ("".join(said) + capsys.readouterr().out).count("folder_not_read") == 1


async def test_what_is_pushed_too_is_fetched_when_its_folder_goes__d2_d6(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    await yard.dispatcher()
    await watching(pulled_dir=tmp_path / "pulled")
    async with Client(settings=yard.settings) as client:
        pushed = await client.adapters.push(adapters / ADAPTER / "1", name=ADAPTER, version="1")
    config = json.loads((adapters / ADAPTER / "1" / CONFIG).read_text())
    (adapters / ADAPTER / "1" / CONFIG).write_text(json.dumps({**config, "lora_alpha": 3}))
    await wait_until(partial(refusal, yard, "1"))
    maker = (await answer(yard, "altered", f"{ADAPTER}@1")).maker
    assert maker is not None
    assert maker.digest == pushed.record.digest
    assert [path.name for path in (tmp_path / "pulled").iterdir() if not path.name.startswith(".")]


async def test_a_version_that_was_refused_is_served_once_its_record_is_removed__d1_d6(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    await (await watching("w1")).stop()
    other = tmp_path / "others" / ADAPTER
    other.mkdir(parents=True)
    put(other / "1", seed=9)
    await watching("w2", adapters_dir=tmp_path / "others")
    assert CONFLICTED in (await refusal(yard, "1", "w2") or "")
    put(other / "2", seed=8)  # looked at since
    await wait_until(partial(registered, yard, ADAPTER, "2"))
    was = (await yard.record(ADAPTER, "1")).digest
    records = await yard.bus.js.key_value(yard.bus.subjects.bucket("adapters"))
    await records.delete(record_key(ADAPTER, "1"))
    await wait_until(partial(is_taken, yard, "1", "w2"))
    assert (await yard.record(ADAPTER, "1")).digest != was
    assert capsys.readouterr().out.count("adapter_conflicted") == 1


async def test_altered_files_are_offered_no_more_once_the_old_bytes_are_evicted__d1_d6(
    yard: Yard,
    adapters: Path,
    watching: Callable[..., Awaitable[Process]],
    wait_until: WaitUntil,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    await yard.dispatcher()
    await watching()
    assert (await answer(yard, "before", f"{ADAPTER}@1")).state is ResultState.SUCCEEDED
    alter(adapters / ADAPTER / "1", tmp_path)
    await wait_until(partial(refusal, yard, "1"))
    assert (await answer(yard, "on", f"{ADAPTER}@1")).state is ResultState.SUCCEEDED
    digest = (await yard.record(ADAPTER)).digest
    unload = yard.bus.subjects.control("w1", OrderVerb.UNLOAD)
    await yard.bus.nc.request(unload, encode(AdapterOrder(digests=(digest,))), timeout=10)
    said: list[str] = []

    def withdrawn() -> bool:
        said.append(capsys.readouterr().out)
        return "".join(said).count("adapter_withdrawn") == 2  # as it was altered, and now

    await wait_until(withdrawn)
    error = (await answer(yard, "late", f"{ADAPTER}@1")).error
    assert error is not None
    assert (error.code, error.kind) == ("adapter_unavailable", ErrorKind.RETRYABLE)
