"""What changes under a running batch is noticed: adapters, jobs, its input and its output (E6, G2)."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.batches.conftest import Desk, asked
from tests.bus.conftest import ADAPTER, Yard

from lorayard import CancelQuery
from lorayard.batch import (
    BatchState,
    InputChangedError,
    OutputReplacedError,
    read_manifest,
)

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def _forget_keys_at_once(yard: Yard) -> None:
    """The bus knows a key for two minutes, which no test waits for."""
    stream = yard.bus.subjects.stream("jobs")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "duplicate_window": 10**8})


@pytest.mark.parametrize("how", ["archived", "its files removed"])
async def test_an_adapter_that_vanishes_under_way_fails_its_lines_alone__g2(
    desk: Desk, yard: Yard, adapters: Path, wait_until: WaitUntil, how: str
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters, echo_delay_seconds=0.05, rows=2)
    names = [(f"id-{number}", ADAPTER if number % 2 else "base") for number in range(60)]
    desk.write(asked(name, model=model) for name, model in names)
    running = asyncio.create_task(desk.run(in_flight=8, window_lines=8))
    await wait_until(lambda: desk.files.output.exists() and len(desk.outputs) >= 8)
    if how == "archived":
        await desk.client.adapters.archive(f"{ADAPTER}@1")
    else:
        shutil.rmtree(adapters / ADAPTER)
    manifest = await running
    assert manifest.state is BatchState.COMPLETED
    assert set(desk.told.values()) == {1}
    assert len(desk.told) == 60
    answered = {line["custom_id"] for line in desk.outputs}
    assert {name for name, model in names if model == "base"} <= answered
    if how == "archived":
        assert {line["error"]["code"] for line in desk.errors} == {"model_not_found"}
        assert 0 < manifest.counts.failed < 30


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_job_that_is_gone_with_its_result_is_asked_again__g1(
    desk: Desk, yard: Yard, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    """As when the runner slept for longer than results are kept."""
    monkeypatch.setattr("lorayard.batch.lost.FIRST_LOOK_SECONDS", 0.2)
    await _forget_keys_at_once(yard)
    desk.write(asked(f"id-{number}") for number in range(3))
    running = asyncio.create_task(desk.run())

    async def queued() -> bool:
        return await yard.left() == 3

    await wait_until(queued)
    if resumed:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        running = asyncio.create_task(desk.run(resume=True))
        await wait_until(lambda: read_manifest(desk.files.output).runs == 2)
    await yard.bus.api(f"STREAM.PURGE.{yard.bus.subjects.stream('jobs')}")
    await yard.dispatcher()
    await yard.worker()
    manifest = await running
    assert (manifest.state, manifest.counts.answered) == (BatchState.COMPLETED, 3)
    assert set(desk.told.values()) == {1}


@pytest.mark.parametrize("how", ["removed", "replaced", "written to"])
async def test_an_output_that_changes_under_the_runner_stops_it__g2(
    desk: Desk, yard: Yard, wait_until: WaitUntil, how: str
) -> None:
    await yard.dispatcher()
    await yard.worker(echo_delay_seconds=0.05, rows=2)
    desk.write(asked(f"id-{number}") for number in range(40))
    running = asyncio.create_task(desk.run(in_flight=4))
    output = desk.files.output
    await wait_until(lambda: output.exists() and len(desk.outputs) >= 2)
    match how:
        case "removed":
            output.unlink()
        case "replaced":
            (desk.folder / "other").write_bytes(output.read_bytes())
            (desk.folder / "other").replace(output)
        case _:
            with output.open("ab") as file:
                file.write(b"mine\n")
    with pytest.raises(OutputReplacedError, match=how):
        await running
    stopped = read_manifest(output)
    assert stopped.state is BatchState.STOPPED
    assert stopped.trouble is not None
    if how == "written to":
        output.write_bytes(output.read_bytes().replace(b"mine\n", b""))
    manifest = await desk.run(resume=True)
    assert (manifest.state, manifest.counts.answered) == (BatchState.COMPLETED, 40)
    assert set(desk.told.values()) == {1}


async def test_an_input_that_changes_under_the_runner_stops_it__e6(
    desk: Desk, yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(echo_delay_seconds=0.05, rows=2)
    lines = [asked(f"id-{number}") for number in range(40)]
    desk.write(lines)
    running = asyncio.create_task(desk.run(in_flight=2, window_lines=2))
    await wait_until(lambda: desk.files.output.exists() and len(desk.outputs) >= 2)
    with desk.files.input.open("ab") as file:
        file.write(asked("late"))
    with pytest.raises(InputChangedError):
        await running
    assert "late" not in desk.told
    with pytest.raises(InputChangedError):
        await desk.run(resume=True)
    desk.write(lines)
    assert (await desk.run(resume=True)).counts.answered == 40
    assert set(desk.told.values()) == {1}


async def test_a_change_that_leaves_size_and_time_alone_is_seen_at_the_end__e6(
    answering: Yard, desk: Desk, wait_until: WaitUntil
) -> None:
    lines = [asked(f"id-{number}", "x" * 2000) for number in range(200)]
    desk.write(lines)
    running = asyncio.create_task(desk.run(in_flight=2, window_lines=2))
    await wait_until(lambda: desk.files.output.exists() and len(desk.outputs) >= 2)
    status = desk.files.input.stat()
    with desk.files.input.open("r+b") as file:
        file.seek(-20, 2)
        file.write(b" ")
    os.utime(desk.files.input, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(InputChangedError):
        await running


async def test_all_jobs_are_looked_through_however_long_it_takes__g1(
    desk: Desk, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them lie on a thousand pages, and each page is progress."""
    monkeypatch.setattr("lorayard_shared.bus.scanning.PAGE_MESSAGES", 3)
    for number in range(20):
        await desk.client.submit(f"text {number}", adapter="base")
    seen = await desk.client.cancel_where(CancelQuery(), dry_run=True)
    assert len(seen.outcomes) == 20
