"""Audit records: what is written, and that a job never pays for one that cannot be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from tests.bus.conftest import ADAPTER, Yard

from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.plan_log import read_plan_log
from lorayard_dispatcher.planning.recording import replay
from lorayard_dispatcher.planning.values import Drain, Plan, Prefetch
from lorayard_schemas.audit import AuditKind, DecisionRecord, DrainRecord, PrefetchRecord, ReturnRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.message import Message
from lorayard_schemas.result import ResultState
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
KINDS: dict[str, type[Message]] = {
    AuditKind.DECISION: DecisionRecord,
    AuditKind.RETURN: ReturnRecord,
    AuditKind.DRAIN: DrainRecord,
    AuditKind.PREFETCH: PrefetchRecord,
}


async def records(yard: Yard) -> list[Message]:
    """Every record of the yard."""
    stream = yard.bus.subjects.stream("audit")
    found = [await yard.bus.js.get_msg(stream, seq=n) for n in range(1, await yard.left("audit") + 1)]
    return [decode(KINDS[(m.subject or "").split(".")[2]], m.data or b"") for m in found]


async def test_every_hand_over_is_a_record_under_tenant_and_job(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker(audit=False)
    for number in range(200):
        await yard.publish(Job(id=f"j{number}", prompt="secret"), tenant="Ärzte & Co.")

    async def all_written() -> bool:
        return await yard.left("audit") == 200

    await wait_until(all_written)
    written = await records(yard)
    assert all(isinstance(record, DecisionRecord) for record in written)
    assert len({record.job for record in written if isinstance(record, DecisionRecord)}) == 200
    assert "secret" not in str(written)
    subject = yard.bus.subjects.job_audit("*", "Ärzte & Co.", "j7")
    info = await yard.bus.api(
        f"STREAM.INFO.{yard.bus.subjects.stream('audit')}", {"subjects_filter": subject}
    )
    assert sum(info["state"]["subjects"].values()) == 1


async def test_a_drain_is_written_once_however_many_plans_it_lasts(yard: Yard, wait_until: WaitUntil) -> None:
    """Also when a plan between them had none, because no row was free."""
    tasks = OwnedTasks(structlog.get_logger())
    audit = Audit(yard.bus, "d1", labels={"a": "x/y/a@1"}, spawn=tasks.spawn)
    first, second = (Drain(worker=worker, adapter="a", for_group="b") for worker in ("w1", "w2"))
    for drains in ((first,), (first,), (), (first, second), (second,)):
        audit.plan(Plan(drains=drains, prefetches=(Prefetch(worker="w3", adapter="a"),)))
    await tasks.settle()

    async def stored() -> bool:  # the server has what it was sent, and stores it in a moment
        return await yard.left("audit") >= 3

    await wait_until(stored)
    written = await records(yard)
    assert [(r.worker, r.plan, r.adapter, r.for_adapter) for r in written if isinstance(r, DrainRecord)] == [
        ("w1", 1, "x/y/a@1", "b"),
        ("w2", 4, "x/y/a@1", "b"),
    ]
    assert [r.plan for r in written if isinstance(r, PrefetchRecord)] == [1]


async def test_without_a_stream_jobs_run_and_the_loss_is_counted(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker()
    name = yard.bus.subjects.stream("audit")
    await yard.bus.api(f"STREAM.DELETE.{name}")
    try:
        await yard.publish(Job(id="j", prompt="x"))
        assert (await yard.result("j")).state is ResultState.SUCCEEDED

        async def counted() -> bool:
            return (await yard.status()).audit_lost == 1

        await wait_until(counted)
    finally:
        await yard.bus.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [yard.bus.subjects.audit]})


async def test_an_operator_can_do_without(yard: Yard) -> None:
    await yard.dispatcher(audit=False)
    dispatcher = await yard.status()
    await yard.worker(audit=False)
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
    await yard.stop()
    assert (dispatcher.audit_lost, await yard.left("audit")) == (0, 0)


async def test_a_dispatchers_recorded_plans_play_again_to_the_same(
    yard: Yard, adapters: Path, tmp_path: Path
) -> None:
    plans = tmp_path / "plans.jsonl"
    await yard.dispatcher(record_plans=plans)
    await yard.worker("w1", adapters_dir=adapters, rows=2, lookahead=0, echo_delay_seconds=0.01)
    await yard.worker("w2", adapters_dir=adapters, rows=2, lookahead=0, echo_delay_seconds=0.01)
    for number in range(60):
        await yard.publish(Job(id=f"j{number}", prompt="secret"), adapter=(None, ADAPTER)[number % 2])
    for number in range(60):
        assert (await yard.result(f"j{number}")).state is ResultState.SUCCEEDED
    await yard.stop()
    entries = read_plan_log(plans)
    assert "secret" not in plans.read_text()
    assert sum(len(entry[2]["decisions"]) for entry in entries if entry[0] == "plan") == 60
    assert replay(entries).differing == ()


async def test_a_recording_that_cannot_be_written_ends_once_and_the_jobs_run_on(
    yard: Yard, wait_until: WaitUntil, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        await yard.dispatcher(record_plans=tmp_path / "no folder" / "plans.jsonl")
        await wait_until(lambda: any(entry["event"] == Event.PLAN_LOG_ENDED for entry in logs))
        await yard.worker()
        await yard.publish(Job(id="j", prompt="x"))
        assert (await yard.result("j")).state is ResultState.SUCCEEDED
        await yard.stop()
    assert sum(entry["event"] == Event.PLAN_LOG_ENDED for entry in logs) == 1
