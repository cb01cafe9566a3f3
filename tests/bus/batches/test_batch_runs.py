"""A file of requests is answered line by line, and each line once, whatever happens meanwhile (E6)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.batches.conftest import Desk, asked
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard.batch import (
    BadLinesError,
    BatchFilesError,
    BatchOptions,
    BatchRunner,
    BatchRunsAlreadyError,
    BatchState,
    BrokenOutputError,
    InputChangedError,
    NoBatchError,
    OutputExistsError,
    batch_files,
    open_batch,
    read_manifest,
)
from lorayard.batch.opening import CANCEL
from lorayard.batch.work import keys_of
from lorayard_schemas import headers
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import connect

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def test_every_line_is_answered_under_its_id__e6(answering: Yard, desk: Desk) -> None:
    desk.write(asked(f"id-{number}", f"text {number}") for number in range(300))
    manifest = await desk.run()
    assert manifest.state is BatchState.COMPLETED
    assert (manifest.counts.answered, manifest.counts.failed, manifest.counts.bad) == (300, 0, 0)
    assert desk.told == Counter(f"id-{number}" for number in range(300))
    for line in desk.outputs:
        body = line["response"]["body"]
        assert (line["error"], line["response"]["status_code"]) == (None, 200)
        assert body["choices"][0]["message"]["content"].endswith(line["custom_id"].replace("id-", "text "))
    assert manifest.adapters["base"].answers == 300
    assert read_manifest(desk.files.output) == manifest


async def test_bad_lines_are_told_by_number_and_end_no_other__e6__g3(answering: Yard, desk: Desk) -> None:
    good = asked("a").rstrip(b"\n")
    desk.write(
        [
            b"\xef\xbb\xbf" + good + b"\r\n", b"\n", b"  \r\n", b"{no json\n", b"\xff\xfe\n", b"[1]\n",
            asked("a"), asked(""), asked("b", temperature=99), b"[" * 100_000 + b"\n",
            asked("c").replace(b"POST", b"GET"), asked("d").replace(b"/v1/chat/", b"/v1/embed/"),
            asked("e", "x" * 5000), asked("half\ud800"), asked("f", stream=True), asked("g", n=3)[:-1],
        ]
    )  # fmt: skip
    manifest = await desk.run(max_line_bytes=4000)
    told = {line["error"]["line"]: (line["custom_id"], line["error"]["code"]) for line in desk.errors}
    assert told == {
        4: (None, "invalid_json_line"), 5: (None, "invalid_utf8"), 6: (None, "invalid_json_line"),
        7: (None, "duplicate_custom_id"), 8: (None, "missing_custom_id"), 9: ("b", "invalid_value"),
        10: (None, "line_too_long"), 11: ("c", "invalid_method"), 12: ("d", "invalid_url"),
        13: (None, "line_too_long"), 14: (None, "invalid_custom_id"), 15: ("f", "unsupported_parameter"),
    }  # fmt: skip
    assert [line["custom_id"] for line in desk.outputs] == ["a", "g"] or desk.told["g"] == 1
    assert (manifest.counts.lines, manifest.counts.bad) == (14, 12)
    choices = next(line for line in desk.outputs if line["custom_id"] == "g")["response"]["body"]["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]


async def test_a_strict_batch_with_a_bad_line_sends_nothing__e6(desk: Desk, yard: Yard) -> None:
    desk.write([asked("a"), asked("a"), b"no\n"])
    with pytest.raises(BadLinesError) as caught:
        await desk.run(strict=True)
    assert [bad.number for bad in caught.value.lines] == [2, 3]
    assert await yard.left() == 0
    assert [path.name for path in desk.folder.iterdir()] == ["in.jsonl"]


async def test_what_the_yard_refuses_stands_among_the_errors_and_can_be_redone__e6(
    answering: Yard, desk: Desk
) -> None:
    desk.write([asked("a"), asked("b", model="acme/tiny/nobody")])
    manifest = await desk.run()
    (error,) = desk.errors
    assert (error["custom_id"], error["response"]["status_code"]) == ("b", 404)
    assert error["error"]["code"] == "model_not_found"
    again = await desk.run(retry_errors=True)
    assert desk.told == Counter("ab")
    assert (again.counts.failed, again.counts.resumed) == (1, 1)
    first, second = error, desk.errors[0]
    assert first["response"]["request_id"] != second["response"]["request_id"], "it was asked anew"
    assert manifest.id == again.id


async def test_a_resumed_batch_goes_on_with_the_jobs_there_are__e6__g1(
    desk: Desk, yard: Yard, wait_until: WaitUntil
) -> None:
    """The runner is interrupted with jobs in the queue, too long ago for the bus to know their keys."""
    desk.write(asked(f"id-{number}") for number in range(20))
    running = asyncio.create_task(desk.run(in_flight=8))

    async def queued() -> bool:
        return await yard.left() == 8

    await wait_until(queued)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert read_manifest(desk.files.output).state is BatchState.STOPPED
    stream = yard.bus.subjects.stream("jobs")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    del config["duplicate_window"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "duplicate_window": 10**8})
    (key,) = keys_of(read_manifest(desk.files.output).id, "id-0", (0,))
    probe = {headers.MSG_ID: desk.client.job_id(key), headers.EXPECTED_LAST_MSG_ID: "never"}
    subject = yard.bus.subjects.job(JobAddress(lane=Lane.BULK, tenant="acme", adapter="base"))

    async def forgotten() -> bool:
        # A known id is answered before the condition, which nothing fulfils, is looked at.
        return "error" in json.loads((await yard.bus.nc.request(subject, b"", headers=dict(probe))).data)

    await wait_until(forgotten)
    await yard.dispatcher()
    resumed = asyncio.create_task(desk.run(resume=True))
    await wait_until(lambda: read_manifest(desk.files.output).runs == 2)
    await yard.worker()
    manifest = await resumed
    assert manifest.state is BatchState.COMPLETED
    assert manifest.counts.found == 8
    assert desk.told == Counter(f"id-{number}" for number in range(20))
    info = await yard.bus.api(f"STREAM.INFO.{stream}")
    assert info["state"]["last_seq"] == 20, "no job was published twice"


async def test_a_torn_line_is_cut_and_answered_again_from_its_result__e6__g1(
    answering: Yard, desk: Desk
) -> None:
    desk.write(asked(f"id-{number}") for number in range(10))
    await desk.run()
    whole = desk.files.output.read_bytes()
    desk.files.output.write_bytes(whole[:-30])
    manifest = await desk.run(resume=True)
    assert (manifest.counts.resumed, manifest.counts.found) == (9, 1)
    assert sorted(desk.files.output.read_bytes().splitlines()) == sorted(whole.splitlines())


async def test_a_cancelled_batch_ends_soon_and_can_be_resumed__e6(
    desk: Desk, yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    desk.write(asked(f"id-{number}") for number in range(30))
    running = asyncio.create_task(desk.run(in_flight=10))

    async def queued() -> bool:
        return await yard.left() >= 10

    await wait_until(queued)
    (desk.files.state_folder / CANCEL).touch()
    manifest = await running
    assert (manifest.state, manifest.counts.written) == (BatchState.CANCELLED, 0)
    assert desk.told == Counter()
    await yard.worker()
    resumed = await desk.run(resume=True)
    assert (resumed.state, resumed.counts.answered) == (BatchState.COMPLETED, 30)
    assert set(desk.told.values()) == {1}


async def test_outputs_are_never_mixed_up__e6(answering: Yard, desk: Desk) -> None:
    desk.write([asked("a")])
    with pytest.raises(BatchFilesError):
        batch_files(desk.files.input, desk.files.input)
    with pytest.raises(BatchFilesError):
        batch_files(desk.folder / "nothing.jsonl", desk.files.output)
    held = open_batch(desk.files, BatchOptions(), tenant="acme")
    with pytest.raises(BatchRunsAlreadyError):
        open_batch(desk.files, BatchOptions(), tenant="acme", resume=True)
    await BatchRunner(desk.client, held).run()
    with pytest.raises(OutputExistsError):
        open_batch(desk.files, BatchOptions(), tenant="acme")
    desk.write([asked("b")])
    with pytest.raises(InputChangedError):
        await desk.run(resume=True)
    desk.files.output.write_bytes(desk.files.output.read_bytes() * 2)
    desk.write([asked("a")])
    with pytest.raises(BrokenOutputError, match="stood before"):
        await desk.run(resume=True)


async def test_an_output_of_something_else_is_left_alone__e6(desk: Desk, yard: Yard) -> None:
    desk.write([asked("a")])
    desk.files.output.write_bytes(b"my thesis\n")
    for thesis in (b"my thesis\n", b"its last line has no end"):
        desk.files.output.write_bytes(thesis)
        for resume, kind in ((False, OutputExistsError), (True, NoBatchError)):
            with pytest.raises(kind):
                await desk.run(resume=resume)
        assert desk.files.output.read_bytes() == thesis


async def test_a_full_yard_is_waited_for__e5__e6(
    make_settings: Callable[..., Awaitable[Any]], tmp_path: Path, wait_until: WaitUntil
) -> None:
    settings = await make_settings(jobs_max_bytes=2**20)
    async with (
        await connect(settings, name="test") as bus,
        Client(settings=settings, tenant="acme") as client,
    ):
        yard, desk = Yard(settings, bus, wait_until), Desk(tmp_path, client)
        desk.write(asked(f"id-{number}", "x" * 50_000) for number in range(60))
        running = asyncio.create_task(desk.run(in_flight=60))

        async def full() -> bool:
            return await yard.left() > 15

        await wait_until(full)
        await yard.dispatcher()
        await yard.worker()
        manifest = await running
        assert (manifest.counts.answered, manifest.counts.failed) == (60, 0)
        assert set(desk.told.values()) == {1}
        await yard.stop()
