"""Batches gone on with in other ways than they were begun, by others, or without their adapter (E6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.batches.conftest import Desk, asked
from tests.bus.conftest import ADAPTER, Yard

from lorayard.batch import (
    BatchFiles,
    BatchFilesError,
    BatchOptions,
    BatchRunner,
    BatchState,
    Manifest,
    cancel_left,
    is_open,
    open_batch,
    read_manifest,
)
from lorayard.batch.manifest import write_manifest
from lorayard.batch.opening import CANCEL
from lorayard.batch.work import keys_of

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def test_a_batch_goes_on_with_its_own_error_file_alone__e6(answering: Yard, desk: Desk) -> None:
    desk.write([asked("a"), asked("b", model="acme/tiny/nobody")])
    await desk.run()
    thesis = desk.folder / "thesis.txt"
    thesis.write_bytes(b"its last line has no end")
    files = BatchFiles(input=desk.files.input, output=desk.files.output, errors=thesis)
    for retry in (False, True):
        with pytest.raises(BatchFilesError, match=desk.files.errors.name):
            open_batch(files, BatchOptions(), tenant="acme", resume=True, retry_errors=retry)
    assert thesis.read_bytes() == b"its last line has no end"


async def test_an_input_that_was_moved_is_remembered__e6(answering: Yard, desk: Desk) -> None:
    desk.write([asked("a")])
    await desk.run()
    moved = desk.files.input.rename(desk.folder / "moved.jsonl")
    files = BatchFiles(input=moved, output=desk.folder / "out.jsonl", errors=desk.folder / "out.errors.jsonl")
    batch = open_batch(files, BatchOptions(), tenant="acme", resume=True)
    assert (await BatchRunner(desk.client, batch).run()).input == str(moved)


@pytest.mark.parametrize("limits", [(2000, 9000), (9000, 2000)])
async def test_another_limit_of_lines_tells_no_line_twice__e6(
    answering: Yard, desk: Desk, limits: tuple[int, int]
) -> None:
    desk.write([asked("a"), asked("b", "x" * 5000)])
    for limit in limits:
        await desk.run(resume=True, max_line_bytes=limit)
    assert len(desk.outputs) + len(desk.errors) == 2


async def test_a_retry_may_take_longer_lines__e6(answering: Yard, desk: Desk) -> None:
    desk.write([asked("a"), asked("b", "x" * 5000)])
    assert (await desk.run(max_line_bytes=2000)).counts.bad == 1
    assert (await desk.run(retry_errors=True, max_line_bytes=9000)).counts.answered == 2
    assert desk.told == Counter("ab")


async def test_what_is_known_of_a_batch_is_written_before_others_may_have_it__e6(
    answering: Yard, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[BatchState, bool]] = []

    def write(manifest: Manifest) -> None:
        held.append((manifest.state, is_open(desk.files.output)))
        write_manifest(manifest)

    monkeypatch.setattr("lorayard.batch.runner.write_manifest", write)
    desk.write([asked("a")])
    await desk.run()
    assert held[-1] == (BatchState.COMPLETED, True)
    assert not is_open(desk.files.output)


async def test_behind_a_limit_no_more_lines_pile_up_than_are_read_ahead__e5__e6(
    yard: Yard, desk: Desk, wait_until: WaitUntil
) -> None:
    """A limit refuses at once, and a million lines would all wait in memory."""
    await desk.client.limits.set(tenant="acme", requests_per_day=1, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    desk.write(asked(f"id-{number}") for number in range(1000))
    seen: list[Manifest] = []
    batch = open_batch(desk.files, BatchOptions(window_lines=20, in_flight=10), tenant="acme")
    running = asyncio.create_task(BatchRunner(desk.client, batch, seen.append).run())

    def at_rest() -> bool:
        return len(seen) > 2 and 20 <= seen[-1].counts.sent_again == seen[-2].counts.sent_again

    await wait_until(at_rest)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen[-1].counts.sent_again <= 30


async def test_an_adapter_that_vanishes_fails_its_lines_alone_until_it_is_back__g2(
    desk: Desk, yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    worker = await yard.worker(adapters_dir=adapters)
    names = [(f"id-{number}", ADAPTER if number % 2 else "base") for number in range(40)]
    desk.write(asked(name, model=model) for name, model in names)

    async def is_served() -> bool:
        return (await (await desk.client.submit("who?", adapter=ADAPTER)).outcome()).succeeded

    async def is_not() -> bool:
        return not await is_served()

    await wait_until(is_served)
    await desk.client.adapters.archive(f"{ADAPTER}@1")
    await wait_until(is_not)  # the dispatcher hears of it by another way than of jobs
    manifest = await desk.run(in_flight=4)
    assert (manifest.state, manifest.counts.answered, manifest.counts.failed) == (
        BatchState.COMPLETED,
        20,
        20,
    )
    assert {line["error"]["code"] for line in desk.errors} == {"model_not_found"}
    await desk.client.adapters.activate(f"{ADAPTER}@1")
    await wait_until(is_served)
    again = await desk.run(retry_errors=True)
    assert (again.counts.answered, again.counts.failed) == (40, 0)
    assert set(desk.told.values()) == {1}
    assert worker.running


async def test_the_jobs_of_a_killed_runner_are_cancelled_and_can_be_asked_again__e6__g1(
    desk: Desk, yard: Yard, wait_until: WaitUntil
) -> None:
    desk.write(asked(f"id-{number}") for number in range(30))
    running = asyncio.create_task(desk.run(in_flight=10))

    async def queued() -> bool:
        return await yard.left() == 10

    await wait_until(queued)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # As a kill leaves it.
    stopped = read_manifest(desk.files.output)
    write_manifest(stopped.model_copy(update={"state": BatchState.RUNNING}))
    other = await desk.client.submit("of another program", adapter="base")
    batch = open_batch(desk.files, stopped.options, tenant="acme", resume=True)
    manifest, left = await cancel_left(desk.client, batch)
    assert (manifest.state, left) == (BatchState.CANCELLED, 10)
    await yard.dispatcher()
    await yard.worker()
    assert (await other.result()).text.endswith("of another program")
    resumed = await desk.run(resume=True)
    assert (resumed.counts.answered, resumed.counts.failed) == (30, 0)
    assert set(desk.told.values()) == {1}


async def test_a_job_under_a_late_key_is_cancelled_too__e6(desk: Desk, yard: Yard) -> None:
    """A line that a limit has refused many times is under way under the key of that many times."""
    desk.write([asked("a")])
    open_batch(desk.files, BatchOptions(), tenant="acme").close()
    begun = read_manifest(desk.files.output)
    write_manifest(begun.model_copy(update={"generations": 40}))
    (key,) = keys_of(begun.id, "a", (40,))
    await desk.client.submit("hello", adapter="base", idempotency_key=key)
    batch = open_batch(desk.files, BatchOptions(), tenant="acme", resume=True)
    assert (await cancel_left(desk.client, batch))[1] == 1
    assert (desk.files.state_folder / CANCEL).exists(), "should this process have died, a resume would know"
