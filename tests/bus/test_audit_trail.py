"""`lorayard audit`: what happens to records shows, and crashes do not look like it (F4)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.bus.conftest import ADAPTER, RunningServer, Yard

from lorayard import CancelQuery, Client, ClientSettings, InvalidRequestError
from lorayard_cli.auditing.export_file import Exporter, verify_file
from lorayard_cli.auditing.record_lines import read_records
from lorayard_cli.commands import audit
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import Output, YardAddress
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState
from lorayard_shared.audit.outbox import AuditOutbox
from lorayard_shared.audit.writing import writer_of
from lorayard_shared.bus.scanning import walk
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Capture = pytest.CaptureFixture[str]
JSON = Output(json=True)


def address(yard: Yard) -> YardAddress:
    return YardAddress(url=yard.settings.url, prefix=yard.settings.prefix)


def last(captured: Capture) -> dict[str, object]:
    document: dict[str, object] = json.loads(captured.readouterr().out.splitlines()[-1])
    return document


async def verified(yard: Yard, captured: Capture, file: Path | None = None) -> tuple[int, Sequence[str]]:
    """The exit code, and what kinds of faults there are."""
    captured.readouterr()
    code = await audit.verify(file, yard=address(yard), output=JSON)
    found = last(captured)
    faults = found["faults"]
    assert isinstance(faults, list)
    return code, [one["kind"] for one in faults]  # pyright: ignore[reportUnknownVariableType]


async def work(yard: Yard, adapters: Path, wait_until: WaitUntil, jobs: int = 20) -> None:
    """Two tenants' jobs, an operator's pause, and all of it written down."""
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.control.pause("lane", "bulk", reason="backup | 'x'")
    for number in range(jobs):
        await yard.publish(
            Job(id=f"j{number}", prompt="secret"),
            tenant=("acme", "other")[number % 2],
            adapter=(None, ADAPTER)[number % 2],
        )
    for number in range(jobs):
        found = await yard.result(f"j{number}", tenant=("acme", "other")[number % 2])
        assert found.state is ResultState.SUCCEEDED

    async def told() -> bool:
        return len(await trail(yard)) == 2 * jobs + 1

    await wait_until(told)


async def trail(yard: Yard) -> list[dict[str, Any]]:
    """What is told so far; of several jobs in one record each by itself."""
    pages = walk(yard.bus, yard.bus.subjects.stream("audit"), yard.bus.subjects.audit)
    return [record async for page in pages for lying in page for record in read_records(lying)]


async def listed(yard: Yard, captured: Capture, **wanted: object) -> list[dict[str, object]]:
    captured.readouterr()
    assert await audit.ls(yard=address(yard), output=JSON, **wanted) == 0  # type: ignore[arg-type]  # names are checked
    return [json.loads(line) for line in captured.readouterr().out.splitlines() if line.startswith("{")]


async def test_records_are_found_by_what_they_are_about__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture
) -> None:
    await work(yard, adapters, wait_until)
    given, ended = sorted(await listed(yard, capsys, job="j5"), key=lambda one: str(one["kind"]))
    assert (given["job"], given["tenant"], given["kind"]) == ("j5", "other", "decision")
    assert (ended["job"], ended["tenant"], ended["kind"]) == ("j5", "other", "outcome")
    assert (ended["state"], ended["by"], ended["attempt"]) == ("succeeded", "w1", 1)
    assert (ended["adapter"], ended["digest"]) == (f"{ADAPTER}@1", (await yard.record(ADAPTER)).digest)
    assert await listed(yard, capsys, job="j5", tenant="acme") == []
    assert {one["tenant"] for one in await listed(yard, capsys, tenant="other")} == {"other"}
    about = await listed(yard, capsys, adapter=ADAPTER)
    assert len([one for one in about if one["kind"] == "decision"]) == 10
    assert await listed(yard, capsys, adapter=f"{ADAPTER}@2") == []
    assert len(await listed(yard, capsys, worker="w1")) >= 40
    assert len(await listed(yard, capsys, kind="outcome", tenant="acme")) == 10
    (paused,) = [one for one in await listed(yard, capsys, kind="registry") if one["verb"] == "pause"]
    assert (paused["reason"], "@" in str(paused["actor"])) == ("backup | 'x'", True)
    assert len(await listed(yard, capsys, since="1h")) == 41
    numbers = [one["sequence"] for one in await listed(yard, capsys, tenant="acme")]
    assert numbers == sorted(numbers, key=int)  # type: ignore[arg-type]  # numbers all of them
    assert await listed(yard, capsys, until="1h") == []
    capsys.readouterr()
    await audit.ls(yard=address(yard), kind=None, limit=1)
    captured = capsys.readouterr()
    assert "secret" not in captured.out
    assert "40 earlier ones: --limit" in captured.err


async def test_what_is_done_to_the_stream_shows_and_what_nobody_did_does_not__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture, tmp_path: Path
) -> None:
    await work(yard, adapters, wait_until)
    assert await verified(yard, capsys) == (0, [])
    await audit.verify(yard=address(yard), output=JSON)
    heads = tmp_path / "heads.json"
    heads.write_text(capsys.readouterr().out.splitlines()[-1])
    assert await audit.verify(heads=heads, yard=address(yard)) == 0
    stream = yard.bus.subjects.stream("audit")
    await yard.bus.api(f"STREAM.PURGE.{stream}", {"seq": 4})
    assert await verified(yard, capsys) == (1, ["trimmed"]), "nothing is as old as records may become"
    assert await audit.verify(after=3, yard=address(yard)) == 0, "who knows of it says so"
    await yard.bus.api(f"STREAM.MSG.DELETE.{stream}", {"seq": 8})
    code, kinds = await verified(yard, capsys)
    assert (code, set(kinds)) == (1, {"trimmed", "deleted", "gap"})
    await yard.bus.js.publish(yard.bus.subjects.job_audit("decision", "acme", "j4"), b"\x80")
    assert "unchained" in (await verified(yard, capsys))[1]


async def test_what_the_streams_own_limits_cut_is_no_fault__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture, tmp_path: Path
) -> None:
    await work(yard, adapters, wait_until)
    heads = tmp_path / "heads.json"
    await audit.verify(yard=address(yard), output=JSON)
    heads.write_text(capsys.readouterr().out.splitlines()[-1])
    stream = yard.bus.subjects.stream("audit")
    state = (await yard.bus.api(f"STREAM.INFO.{stream}"))["state"]
    await configured(yard, max_bytes=int(state["bytes"] * 0.6))
    assert 0 < await yard.left("audit") < state["messages"]
    assert await verified(yard, capsys) == (0, [])
    assert await audit.verify(heads=heads, yard=address(yard)) == 0
    await yard.bus.api(f"STREAM.PURGE.{stream}", {"keep": 1})
    assert await verified(yard, capsys) == (0, []), "a stream that is so small hides it"
    await configured(yard, max_bytes=2**28)
    assert await audit.verify(heads=heads, yard=address(yard)) == 1


async def configured(yard: Yard, **changes: object) -> None:
    stream = yard.bus.subjects.stream("audit")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, **changes})


async def test_an_export_is_the_stream_byte_for_byte_and_shows_what_is_done_to_it__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture, tmp_path: Path
) -> None:
    await work(yard, adapters, wait_until)
    file = tmp_path / "audit.jsonl"
    await audit.export(file, yard=address(yard))
    assert await verified(yard, capsys, file) == (0, [])
    with pytest.raises(CommandError) as refused:
        await audit.export(file, yard=address(yard))
    assert refused.value.failure.exit_code is ExitCode.BAD_INPUT
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) == await yard.left("audit") + 2
    broken = tmp_path / "broken.jsonl"
    for change, kind in (
        (lines[:-1], "truncated"),
        (lines[:-3] + lines[-1:], "truncated"),
        ([*lines[:5], lines[5].replace(b'"body":"', b'"body":"AAAA'), *lines[6:]], "changed"),
        ([*lines[:5], b"junk\n", *lines[6:]], "changed"),
        ([*lines[:5], *lines[6:]], "deleted"),
        ([*lines[:5], lines[6], lines[5], *lines[7:]], "moved"),
    ):
        broken.write_bytes(b"".join(change))
        code, kinds = await verified(yard, capsys, broken)
        assert (code, kind in kinds) == (1, True), (kind, kinds)


async def test_an_export_that_was_interrupted_goes_on_to_the_same_bytes__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture, tmp_path: Path
) -> None:
    await work(yard, adapters, wait_until)
    whole, again = tmp_path / "whole.jsonl", tmp_path / "again.jsonl"
    await audit.export(whole, yard=address(yard))
    stream = yard.bus.subjects.stream("audit")
    exporter = Exporter(file=again, stream=stream, after=0)
    exporter.open()
    async for page in walk(yard.bus, stream, yard.bus.subjects.audit):
        exporter.write(page[:7])
    exporter.close()
    with exporter.partial.open("ab") as torn:
        torn.write(b'{"odd": 1}\n{"sequence": 8, "bo')
    with pytest.raises(CommandError):
        await audit.export(
            again, since="1970-01-01T00:00+00:00", yard=YardAddress(url=yard.settings.url, prefix="x")
        )
    await audit.export(again, yard=address(yard))
    assert again.read_bytes() == whole.read_bytes()
    assert not exporter.partial.exists()
    shutil.copy(whole, again)
    assert verify_file(again).sound


async def test_a_bus_that_is_killed_again_and_again_does_not_look_like_tampering__f4(
    own_yard: Yard, own_server: RunningServer, wait_until: WaitUntil, capsys: Capture
) -> None:
    yard, tasks = own_yard, OwnedTasks(structlog.get_logger())
    outbox = AuditOutbox(yard.bus, role="d", spawn=tasks.spawn)
    for turn in range(3):
        before = outbox.sent
        for number in range(150):
            job = f"j{turn}-{number}"
            outbox.put(yard.bus.subjects.job_audit("decision", "acme", job), {"job": job})
        await wait_until(partial(_has_sent, outbox, before + 50))
        own_server.kill()
        await wait_until(lambda: not yard.bus.connected)
        own_server.start()
        await wait_until(lambda: yard.bus.connected)
    outbox.put(yard.bus.subjects.job_audit("decision", "acme", "end"), {"job": "end"})
    await tasks.settle()
    await yard.bus.nc.flush()
    assert await yard.left("audit") > 0
    assert await verified(yard, capsys) == (0, [])


def _has_sent(outbox: AuditOutbox, count: int) -> bool:
    return outbox.sent > count


async def test_a_stream_that_is_made_anew_shows_and_what_comes_then_hangs_together__f4(
    yard: Yard, wait_until: WaitUntil, capsys: Capture
) -> None:
    tasks = OwnedTasks(structlog.get_logger())
    outbox, stream = AuditOutbox(yard.bus, role="d", spawn=tasks.spawn), yard.bus.subjects.stream("audit")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]

    def put(count: int) -> None:
        for _ in range(count):
            outbox.put(yard.bus.subjects.job_audit("decision", "acme", "j"), {"job": "j"})

    put(10)
    await tasks.settle()

    async def all_stored() -> bool:  # the server has what it was sent, and stores it in a moment
        return await yard.left("audit") == 10

    await wait_until(all_stored)
    await yard.bus.api(f"STREAM.DELETE.{stream}")

    def lost() -> bool:
        put(1)
        return outbox.lost > 0

    await wait_until(lost)
    await yard.bus.api(f"STREAM.CREATE.{stream}", config)

    async def stored() -> bool:
        put(1)
        return await yard.left("audit") > 0

    await wait_until(stored)
    await tasks.settle()
    await yard.bus.nc.flush()
    assert await verified(yard, capsys) == (1, ["gap"]), "ten records were there"
    assert await audit.verify(after=1, yard=address(yard)) == 0


async def test_changes_by_people_have_chains_of_their_own__f4(
    settings: YardSettings, yard: Yard, capsys: Capture
) -> None:
    for _ in range(2):
        async with Client(settings=settings, tenant="acme") as client:
            await client.control.pause("lane", "bulk", reason="a")
            await client.control.resume("lane", "bulk", reason="b")
    capsys.readouterr()
    assert await audit.verify(yard=address(yard), output=JSON) == 0
    found = last(capsys)
    assert (found["records"], found["writers"], found["sound"]) == (4, 2, True)


async def test_a_change_that_is_told_twice_is_one_record_and_leaves_no_gap__f4(
    yard: Yard, capsys: Capture
) -> None:
    writer, subject = writer_of(yard.bus), yard.bus.subjects.registry_audit("rules", "a", "1")
    for message_id in ("a", "b", "a", "b", "c"):
        assert await writer.write(subject, b"{}", message_id=message_id) is None
    assert await yard.left("audit") == 3
    assert await verified(yard, capsys) == (0, [])


async def test_an_export_goes_to_standard_output_as_to_a_file__f4(
    yard: Yard, adapters: Path, wait_until: WaitUntil, capsys: Capture, tmp_path: Path
) -> None:
    await work(yard, adapters, wait_until)
    file = tmp_path / "audit.jsonl"
    await audit.export(file, yard=address(yard))
    capsys.readouterr()
    await audit.export(Path("-"), yard=address(yard))
    assert capsys.readouterr().out == file.read_text()


async def test_who_cancels_and_purges_jobs_is_named_and_what_came_of_them__f4(
    yard: Yard, wait_until: WaitUntil, capsys: Capture
) -> None:
    await yard.dispatcher()
    settings = ClientSettings.model_validate({**yard.settings.model_dump(), "tenant": "a c", "actor": "ana"})
    async with Client(settings=settings) as client:
        first, *others = [await client.submit("secret", delay_seconds=3600) for _ in range(3)]
        await first.cancel()
        await client.cancel_many([one.id for one in others])
        await client.cancel_where(CancelQuery(lane="bulk"))
        assert [letter async for letter in client.dead.purge_all(code="x", tenant="a c")] == []
        with pytest.raises(InvalidRequestError):
            _ = [letter async for letter in client.dead.purge_all(code=1)]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def told() -> bool:
        return len(await trail(yard)) == 6

    await wait_until(told)
    acts = await listed(yard, capsys, tenant="a c", kind="act")
    assert [(one["verb"], one["actor"], one["jobs"]) for one in acts] == [
        ("cancel", "ana", 1),
        ("cancel", "ana", 2),
        ("purge", "ana", 0),
    ]
    cancelled, done = sorted(await listed(yard, capsys, job=first.id), key=lambda one: str(one["kind"]))
    assert (cancelled["about"], done["state"], done["by"]) == ("cancelled", "cancelled", "d1")
    assert "secret" not in str(await trail(yard))
    assert await verified(yard, capsys) == (0, [])


async def test_a_job_that_nobody_can_run_has_an_outcome_too__f4(
    yard: Yard, wait_until: WaitUntil, capsys: Capture
) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt="secret"), adapter="acme/tiny/none")
    assert (await yard.result("j")).state is ResultState.FAILED

    async def told() -> bool:
        return len(await trail(yard)) > 0

    await wait_until(told)
    (one,) = await listed(yard, capsys, job="j")
    assert (one["state"], one["by"], one["code"]) == ("failed", "d1", "unknown_adapter")


async def test_names_cannot_steer_a_terminal__f4__g3(
    yard: Yard, wait_until: WaitUntil, capsys: Capture
) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt="x"), tenant="a\x1b[31m[red]\r")

    async def told() -> bool:
        return len(await trail(yard)) == 2

    await wait_until(told)
    capsys.readouterr()
    await audit.ls(yard=address(yard))
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"a\x1b[31m[red]\x0d" in said


async def test_bad_input_is_named__f4(yard: Yard, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x00\xff" * 10)
    for call in (
        lambda: audit.verify(junk, yard=address(yard)),
        lambda: audit.verify(heads=junk, yard=address(yard)),
        lambda: audit.ls(yard=YardAddress(url=yard.settings.url, prefix="nothing")),
        lambda: audit.export(tmp_path / "x", yard=YardAddress(url=yard.settings.url, prefix="nothing")),
    ):
        with pytest.raises(CommandError):
            await call()
