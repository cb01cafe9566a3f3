"""Audit records: what is written, and that a job never pays for one that cannot be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard_dispatcher.plan_log import read_plan_log
from lorayard_dispatcher.planning.recording import replay
from lorayard_schemas.audit import AuditKind, DecisionRecord, DrainRecord, PrefetchRecord, ReturnRecord
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.message import Message
from lorayard_schemas.result import ResultState
from lorayard_workers.tiny_model import make_tiny_adapter

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
    await yard.worker()
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


async def test_a_drain_is_written_once_however_many_plans_it_lasts(
    yard: Yard, wait_until: WaitUntil, adapters: Path
) -> None:
    make_tiny_adapter(adapters / "acme/tiny/other" / "1", seed=2, targets=("q_proj",))
    await yard.dispatcher(wait_bound_seconds=(0.01,) * 4)
    await yard.worker(
        rows=2, lookahead=0, slots=1, echo_delay_seconds=60, drain_seconds=0, adapters_dir=adapters
    )
    await yard.publish(Job(id="runs", prompt="x"), adapter=ADAPTER)

    async def written(count: int) -> bool:
        return await yard.left("audit") >= count

    await wait_until(lambda: written(1))
    await yard.publish(Job(id="waits", prompt="x"), adapter="acme/tiny/other")
    await wait_until(lambda: written(2))
    await yard.publish(Job(id="base", prompt="x"))  # planned later than that
    await wait_until(lambda: written(3))
    drains = [record for record in await records(yard) if isinstance(record, DrainRecord)]
    assert [(d.worker, d.adapter, d.for_adapter) for d in drains] == [
        ("w1", f"{ADAPTER}@1", "acme/tiny/other@1")
    ]


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
    await yard.worker()
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


async def test_a_recording_that_cannot_be_written_ends_and_the_jobs_run_on(
    yard: Yard, tmp_path: Path
) -> None:
    await yard.dispatcher(record_plans=tmp_path / "no folder" / "plans.jsonl")
    await yard.worker()
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
