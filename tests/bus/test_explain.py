"""What `lorayard explain` finds out about a job, wherever it is, on the real bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.explanation import WaitReason
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.names import key_token
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.explaining.evidence import Evidence, JobState
from lorayard_shared.explaining.gather import gather
from lorayard_shared.explaining.sentences import sentence
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
OTHER = "acme/tiny/other"
HALF_DAY = 43_200


async def look(yard: Yard, job: str, *, tenant: str = "acme") -> Evidence:
    return await gather(yard.bus, tenant, job, frozenset(["w1"]))


async def find(yard: Yard, wait_until: WaitUntil, job: str, state: JobState, *, records: int = 0) -> Evidence:
    """What is found once the job is so far, and as much of it is written down."""
    found: list[Evidence] = []

    async def so_far() -> bool:
        found[:] = [await look(yard, job)]
        return found[0].state is state and len(found[0].records) >= records

    await wait_until(so_far)
    return found[0]


async def find_waiting(yard: Yard, wait_until: WaitUntil, job: str, reason: WaitReason) -> Evidence:
    found: list[Evidence] = []

    async def waits() -> bool:
        found[:] = [await look(yard, job)]
        return found[0].live is not None and found[0].live.reason is reason

    await wait_until(waits)
    return found[0]


@pytest.fixture
def two_adapters(adapters: Path) -> Path:
    make_tiny_adapter(adapters / OTHER / "1", seed=2, targets=("q_proj",))
    return adapters


@pytest.mark.parametrize("adapter", [None, ADAPTER], ids=["base", "adapter that nobody knows yet"])
async def test_with_no_worker_alive_a_job_says_so(
    yard: Yard, wait_until: WaitUntil, adapter: str | None
) -> None:
    await yard.dispatcher()
    await yard.publish(Job(id="j", prompt="secret"), adapter=adapter)
    found = await find_waiting(yard, wait_until, "j", WaitReason.NO_WORKER)
    assert sentence(found).endswith("in lane normal: no worker is alive")


async def test_a_job_whose_only_worker_is_drained_says_by_whom_and_why(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.worker()
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.control.begin_drain("worker", "w1", reason="a new disk")
    await yard.dispatcher()  # to one that runs already it comes on another way than jobs
    await yard.publish(Job(id="j", prompt="secret"))
    found = await find_waiting(yard, wait_until, "j", WaitReason.NO_WORKER_TAKES_JOBS)
    assert "paused: worker w1, by " in sentence(found)
    assert sentence(found).endswith(": a new disk")


async def test_an_adapter_of_another_base_model_waits_for_a_worker_that_has_it(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker()
    record = AdapterRecord(
        name="acme/big/x",
        version="3",
        digest="sha256:" + "ab" * 32,
        base_digest="sha256:" + "cd" * 32,
        rank=8,
        alpha=8,
        targets=("q_proj",),
        size_bytes=1,
    )
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("adapters"))
    await bucket.put(f"{key_token(record.name)}.{key_token(record.version)}", encode(record))

    probes = count()

    async def known() -> bool:
        probe = f"probe-{next(probes)}"  # one that came before the record is refused, for good
        await yard.publish(Job(id=probe, prompt="x"), adapter="acme/big/x")
        return (await look(yard, probe)).state is JobState.PARKED

    await wait_until(known)
    await yard.publish(Job(id="j", prompt="x"), adapter="acme/big/x", lane=Lane.HIGH)
    found = await find_waiting(yard, wait_until, "j", WaitReason.NO_BASE)
    assert "1 worker is alive, none with the base model that acme/big/x@3 was made for" in sentence(found)


async def test_a_full_worker_and_the_queue_before_the_job_are_told(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher(wait_bound_seconds=(HALF_DAY,) * 4)
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    await yard.publish(Job(id="runs", prompt="x"))
    found = await find(yard, wait_until, "runs", JobState.HANDED_OVER, records=1)
    assert "is at worker w1 since" in sentence(found)
    assert sentence(found).endswith("because w1 had room, and the base model needs no slot")
    for name in ("first", "second", "third"):
        await yard.publish(Job(id=name, prompt="x"))
    waiting = await find_waiting(yard, wait_until, "third", WaitReason.ROWS_BUSY)
    assert waiting.live is not None
    assert (waiting.live.ahead, waiting.live.adapter, waiting.live.lane) == (2, None, "normal")
    assert "is busy, and 2 older jobs of its lane are ahead" in sentence(waiting)
    assert "; overdue in 1" in sentence(waiting)


async def test_a_job_of_a_tenant_past_its_share_says_that_others_go_first(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher(quantum_tokens=0, wait_bound_seconds=(HALF_DAY,) * 4)
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    await yard.publish(Job(id="runs", prompt="x"))
    await find(yard, wait_until, "runs", JobState.HANDED_OVER)
    await yard.publish(Job(id="modest", prompt="x"), tenant="modest")
    await yard.publish(Job(id="j", prompt="x"))
    found = await find_waiting(yard, wait_until, "j", WaitReason.TENANT_SHARE)
    assert "tenant acme is past its share while others wait" in sentence(found)
    others = (await look(yard, "modest", tenant="modest")).live
    assert others is not None
    assert others.reason is WaitReason.ROWS_BUSY


async def test_a_job_whose_adapter_is_fetched_says_where(
    yard: Yard, wait_until: WaitUntil, two_adapters: Path
) -> None:
    """Beside busy rows a worker reads from disk first, and the job stays free to go elsewhere."""
    await yard.dispatcher(early_reads=0)
    await yard.worker(
        rows=3,
        lookahead=0,
        echo_delay_seconds=60,
        echo_disk_seconds=600,
        drain_seconds=0,
        adapters_dir=two_adapters,
    )
    for name in ("one", "two"):
        await yard.publish(Job(id=name, prompt="x"), adapter=OTHER)
        await find(yard, wait_until, name, JobState.HANDED_OVER)
    await yard.publish(Job(id="j", prompt="x"), adapter=ADAPTER)
    found = await find_waiting(yard, wait_until, "j", WaitReason.FETCH)
    assert f"{ADAPTER}@1 is on its way into the host memory of worker w1" in sentence(found)


async def test_an_overdue_job_says_what_is_drained_for_it(
    yard: Yard, wait_until: WaitUntil, two_adapters: Path
) -> None:
    await yard.dispatcher(wait_bound_seconds=(0.01,) * 4)
    await yard.worker(
        rows=2, lookahead=0, slots=1, echo_delay_seconds=60, drain_seconds=0, adapters_dir=two_adapters
    )
    await yard.publish(Job(id="runs", prompt="x"), adapter=ADAPTER)
    await find(yard, wait_until, "runs", JobState.HANDED_OVER)
    await yard.publish(Job(id="j", prompt="x"), adapter=OTHER)

    looks: list[Evidence] = []

    async def drained() -> bool:  # overdue jobs are looked after up to a millisecond early
        looks.append(await look(yard, "j"))
        drains = looks[-1].live is not None and looks[-1].live.drains is not None
        return drains and "it is overdue by" in sentence(looks[-1])

    await wait_until(drained)
    found = looks[-1]
    assert found.live is not None
    assert (found.live.reason, found.live.worker) == (WaitReason.SLOTS_BUSY, "w1")
    assert f"{OTHER}@1 needs a slot" in sentence(found)
    assert f"{ADAPTER}@1 gets no new rows on worker w1, to free one; it is overdue by" in sentence(found)


async def test_a_load_and_a_hit_say_where_the_adapter_came_from(
    yard: Yard, wait_until: WaitUntil, adapters: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    for name, held in (("load", False), ("hit", True)):
        await yard.publish(Job(id=name, prompt="secret"), adapter=ADAPTER)
        await yard.result(name)
        found = await find(yard, wait_until, name, JobState.FINISHED, records=1)
        assert (f"w1 held {ADAPTER}@1 and had room" in sentence(found)) is held
        assert ("(loaded from disk" in sentence(found)) is not held
        (record,) = found.records
        assert isinstance(record, DecisionRecord)
        assert (record.rule, record.tenant, record.worker) == ("explicit", "acme", "w1")
        assert "secret" not in str(record)


async def test_a_spill_says_that_the_holders_had_too_much_to_do(
    yard: Yard, wait_until: WaitUntil, adapters: Path
) -> None:
    await yard.dispatcher()
    for worker in ("w1", "w2"):
        await yard.worker(
            worker, rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0, adapters_dir=adapters
        )
    went: list[str] = []
    for name in ("first", "second"):
        await yard.publish(Job(id=name, prompt="x"), adapter=ADAPTER)
        found = await find(yard, wait_until, name, JobState.HANDED_OVER, records=1)
        assert found.decision is not None
        went.append(found.decision.worker)
    assert sorted(went) == ["w1", "w2"]
    spilled = f"the workers with {ADAPTER}@1 had more work than a further load costs, so {went[1]} took it up"
    assert spilled in sentence(found)


async def test_an_overdue_job_says_that_it_went_before_warm_work(
    yard: Yard, wait_until: WaitUntil, adapters: Path
) -> None:
    await yard.dispatcher(wait_bound_seconds=(0.001,) * 4)
    await yard.publish(Job(id="j", prompt="x"))
    await find_waiting(yard, wait_until, "j", WaitReason.NO_WORKER)
    await yard.worker(adapters_dir=adapters)
    await yard.result("j")
    found = await find(yard, wait_until, "j", JobState.FINISHED, records=1)
    assert "because it was overdue after" in sentence(found)


async def test_a_delayed_job_says_when_it_runs(yard: Yard) -> None:
    await yard.dispatcher()
    subjects = yard.bus.subjects
    at = datetime.now(UTC) + timedelta(hours=3)
    await yard.bus.js.publish(
        subjects.delayed_job("acme", "j"),
        encode(Job(id="j", prompt="x")),
        headers={
            "Nats-Schedule": f"@at {at.strftime('%Y-%m-%dT%H:%M:%SZ')}",
            "Nats-Schedule-Target": subjects.due_job(
                JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=None)
            ),
        },
    )
    found = await look(yard, "j")
    assert found.state is JobState.DELAYED
    assert f"is delayed and runs in 3.0 h, at {at.strftime('%Y-%m-%d %H:%M:%S')} UTC" in sentence(found)


def fails(_request: GenerationRequest) -> Scripted:
    """In a way that may pass."""
    failure = Failed(request_id="", kind=FailureKind.RETRYABLE, code="hiccup", message="not now")
    return Scripted(outcome=failure)


async def test_a_job_that_is_tried_again_says_what_failed_and_when_it_runs(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(engine=EchoEngine(script=fails), retry_base_seconds=600.0, retry_cap_seconds=601.0)
    await yard.publish(Job(id="j", prompt="x"))
    found = await find(yard, wait_until, "j", JobState.RETRYING)
    assert "failed attempt 1 at worker w1 (hiccup: not now) and runs again in 10 min" in sentence(found)


async def test_a_job_that_a_dead_worker_had_says_when_it_comes_again(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    dispatcher = await yard.dispatcher()
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=60, drain_seconds=0)
    await yard.publish(Job(id="j", prompt="x"))
    await find(yard, wait_until, "j", JobState.HANDED_OVER, records=1)
    await dispatcher.stop()
    found = await gather(yard.bus, "acme", "j", frozenset())
    assert found.state is JobState.GIVEN_OUT
    assert "was given to worker w1" in sentence(found)
    assert "not alive any more; it comes again when its lease runs out, within 10 min" in sentence(found)


async def test_with_no_dispatcher_a_job_is_found_in_its_stream(yard: Yard) -> None:
    for number in range(5):
        await yard.publish(Job(id=f"j{number}", prompt="x"), lane=Lane.BULK)
    found = await look(yard, "j3")
    assert found.state is JobState.QUEUED
    assert "in lane bulk: no dispatcher is alive" in sentence(found)
    assert (await look(yard, "j3", tenant="other")).state is JobState.UNKNOWN


async def test_an_id_that_was_never_there_has_left_no_trace(yard: Yard) -> None:
    await yard.dispatcher()
    found = await look(yard, "nobody")
    assert found.state is JobState.UNKNOWN
    assert "of tenant acme has left no trace: no dispatcher has it" in sentence(found)


async def test_of_two_dispatchers_the_one_that_has_the_job_answers(
    long_lease_yard: Yard, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_shared.explaining.gather.ANSWER_SECONDS", 30.0)  # it is not what is tested
    yard = long_lease_yard
    await yard.dispatcher("d1")
    await yard.dispatcher("d2")
    for number in range(8):
        await yard.publish(Job(id=f"j{number}", prompt="x"), lane=tuple(Lane)[number % 4])
    for number in range(8):
        await find_waiting(yard, wait_until, f"j{number}", WaitReason.NO_WORKER)
    for number in range(16):  # at once, whichever of the two hears it first
        assert (await look(yard, f"j{number % 8}")).state is JobState.PARKED
