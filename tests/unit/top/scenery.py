"""A yard as `top` reads it, without a bus: three tenants, 16 adapters, a lost worker, a canary."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard import Lane, Letter
from lorayard_cli.top.listed_job import ListedJob
from lorayard_schemas.control import Cap, Controlled, Pause
from lorayard_schemas.snapshot import (
    AdapterRow,
    AdapterTraffic,
    BatchRow,
    Overview,
    QueueRow,
    Trouble,
    TroubleLevel,
    WaitRow,
    WorkerRow,
    YardSnapshot,
)
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.strike import Strike

NOW = 1_764_000_000.0
"""2025-11-24 16:00:00 UTC."""

TASKS = (
    "summary",
    "keywords",
    "translate-de",
    "translate-fr",
    "sentiment",
    "titles",
    "support-reply",
    "contracts",
)
TENANTS = ("acme", "globex", "initech")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def name(number: int) -> str:
    return f"{TENANTS[number % 3]}/gemma3-270m/{TASKS[number % 8]}"


def adapter(number: int) -> AdapterRow:
    aliases = {1: {"stable": 90.0, "canary": 10.0}, 0: {"stable": 100.0}, 2: {"stable": 100.0}}
    traffic = AdapterTraffic(per_second=12.5 / (number + 1), p50_ms=210, p95_ms=480 + 90 * number)
    return AdapterRow(
        name=name(number) if number < 24 else f"{name(number)}-{number}",
        version=str(1 + number // 24),
        digest=digest(number),
        state="archived" if number == 15 else "active",
        rank=8 << (number % 3),
        size_bytes=1_500_000 * (1 + number % 4),
        waiting=(number * 37) % 60,
        slots=("w1", "w2")[: 1 + number % 2] if number < 6 else (),
        host=number % 4,
        loading=1 if number == 6 else 0,
        aliases=aliases.get(number, {}),
        struck="it rambles (by ana)" if number == 7 else "",
        pinned=number == 0,
        placed=number == 0,
        refused_by=("w3",) if number == 9 else (),
        traffic=traffic if number < 8 else None,
    )


def adapters(count: int = 16) -> tuple[AdapterRow, ...]:
    return tuple(adapter(number) for number in range(count))


QUEUES = (
    QueueRow(lane=Lane.URGENT, tenant="acme", adapter="acme/gemma3-270m/summary", jobs=3, oldest_seconds=0.4),
    QueueRow(
        lane=Lane.NORMAL, tenant="acme", adapter="acme/gemma3-270m/summary@2", jobs=1204, oldest_seconds=41.0
    ),
    QueueRow(lane=Lane.NORMAL, tenant="globex", adapter=None, jobs=12, oldest_seconds=3.2),
    QueueRow(
        lane=Lane.HIGH, tenant="globex", adapter="globex/gemma3-270m/keywords", jobs=57, oldest_seconds=12.0
    ),
    QueueRow(
        lane=Lane.BULK,
        tenant="initech",
        adapter="initech/gemma3-270m/translate-de",
        jobs=10_241,
        oldest_seconds=5400.0,
    ),
    QueueRow(lane=Lane.BULK, tenant="initech", adapter="base", jobs=1, oldest_seconds=None),
)

WAITS = (
    WaitRow(
        adapter="acme/gemma3-270m/summary@2",
        jobs=820,
        oldest_seconds=41.0,
        reason="rows_busy",
        text="Every row of w1, w2 is taken.",
    ),
    WaitRow(
        adapter="globex/gemma3-270m/keywords@1",
        jobs=57,
        oldest_seconds=12.0,
        reason="struck",
        text="adapter globex/gemma3-270m/keywords is struck, by ana: it rambles",
    ),
    WaitRow(
        adapter="initech/gemma3-270m/translate-de@1",
        jobs=4096,
        oldest_seconds=5400.0,
        reason="no_files",
        text="No worker that lives has its files.",
    ),
)

WORKERS = (
    WorkerRow(
        worker="w1",
        epoch=3,
        age_seconds=0.6,
        engine="packed",
        model="google/gemma3-270m",
        rows_running=8,
        rows_max=8,
        room=0,
        slots_used=4,
        slot_count=4,
        adapters=("acme/gemma3-270m/summary@2", "globex/gemma3-270m/keywords@1"),
        hit_rate=0.973,
        slot_bytes=6_000_000,
        host_bytes=48_000_000,
        tokens_per_second=812.0,
        succeeded=10_412,
        failed=3,
        pid=4711,
    ),
    WorkerRow(
        worker="w2",
        epoch=3,
        age_seconds=0.9,
        engine="packed",
        model="google/gemma3-270m",
        rows_running=5,
        rows_max=8,
        room=3,
        slots_used=3,
        slot_count=4,
        adapters=("acme/gemma3-270m/summary@2",),
        hit_rate=0.91,
        slot_bytes=4_500_000,
        host_bytes=36_000_000,
        tokens_per_second=455.2,
        succeeded=9_980,
        failed=0,
        pid=4712,
    ),
    WorkerRow(
        worker="w3",
        epoch=2,
        age_seconds=12.0,
        lost=True,
        engine="packed",
        model="google/gemma3-270m",
        rows_max=8,
        slot_count=4,
        succeeded=311,
        failed=2,
        pid=4713,
    ),
    WorkerRow(
        worker="gpu-node-17-a",
        epoch=1,
        age_seconds=1.1,
        engine="packed",
        model="google/gemma3-270m",
        rows_running=0,
        rows_max=64,
        room=0,
        slots_used=12,
        slot_count=12,
        hit_rate=None,
        tokens_per_second=0.0,
        succeeded=1_250_000,
        failed=12,
        draining=True,
        pid=88,
    ),
)

TROUBLES = (
    Trouble(
        level=TroubleLevel.CRITICAL,
        code="worker_lost",
        text="Worker w3 has not been heard for 12 s and is gone: its jobs go to others.",
        mend="lorayard workers show w3",
        about="w3",
    ),
    Trouble(
        level=TroubleLevel.WARNING,
        code="no_files",
        text="4,096 jobs wait for initech/gemma3-270m/translate-de@1, and no live worker has its files.",
        mend="lorayard adapters verify initech/gemma3-270m/translate-de",
        about="initech/gemma3-270m/translate-de@1",
    ),
)

STRIKES = (
    Strike(
        adapter="globex/gemma3-270m/keywords",
        why="it rambles since the new prompt",
        by="ana@desk",
        at=NOW - 780,
    ),
)
PAUSES = (
    Pause(
        kind=Controlled.LANE,
        name="bulk",
        why="nightly backup of the store",
        by="cron@ops",
        at=NOW - 3600,
        until=NOW + 1800,
    ),
    Pause(
        kind=Controlled.WORKER, name="gpu-node-17-a", why="new disk", by="ben@desk", at=NOW - 60, drain=True
    ),
)
CAPS = (
    Cap(kind=Controlled.TENANT, name="initech", most=4, why="fair use", by="ana@desk", at=NOW - 86_400 * 3),
)

BATCHES = (
    BatchRow(
        batch="batch_0f3a9c81d2b94e77",
        tenant="acme",
        status="in_progress",
        total=50_000,
        completed=31_250,
        failed=12,
        created_at=NOW - 1500,
    ),
    BatchRow(
        batch="batch_77aa00ff12349876",
        tenant="globex",
        status="completed",
        total=200,
        completed=200,
        created_at=NOW - 3000,
    ),
    BatchRow(batch="batch_1234567890abcdef", tenant="initech", status="validating", created_at=NOW - 4),
)


def overview(**given: object) -> Overview:
    values: dict[str, object] = {
        "unfinished": 11_518,
        "delayed": 7,
        "at_workers": 13,
        "oldest_seconds": 5400.0,
        "by_lane": {Lane.URGENT: 3, Lane.HIGH: 57, Lane.NORMAL: 1216, Lane.BULK: 10_242},
        "dead_letters": 3,
        "workers": 3,
        "workers_lost": 1,
        "dispatchers": 1,
        "adapters": 15,
        "hit_rate": 0.957,
        "jobs_per_second": 24.6,
        "tokens_per_second": 1267.2,
        "loads_per_second": 0.4,
    }
    return Overview.model_validate({**values, **given})


def snapshot(**given: object) -> YardSnapshot:
    """The yard in the midst of its work; `given` replaces fields."""
    values: dict[str, object] = {
        "prefix": "yard",
        "url": "nats://127.0.0.1:4222",
        "release": "0.1.0",
        "sequence": 1,
        "at": NOW,
        "took_ms": 8.0,
        "overview": overview(),
        "troubles": TROUBLES,
        "dispatchers": (DispatcherStatus(dispatcher="d1", started_at=NOW - 9000, seats=(0,)),),
        "waits": WAITS,
        "queues": QUEUES,
        "adapters": adapters(),
        "workers": WORKERS,
        "strikes": STRIKES,
        "pauses": PAUSES,
        "caps": CAPS,
        "batches": BATCHES,
    }
    return YardSnapshot.model_validate({**values, **given})


def empty() -> YardSnapshot:
    """A yard in which there is nothing yet."""
    return YardSnapshot(
        prefix="yard",
        url="nats://127.0.0.1:4222",
        release="0.1.0",
        sequence=1,
        at=NOW,
        took_ms=1.0,
        overview=Overview(unfinished=0, delayed=0),
    )


@dataclass
class Still:
    """A feed whose yard stands still until somebody changes it."""

    now: YardSnapshot
    error: Exception | None = None
    listed: tuple[ListedJob, ...] = ()
    dead: tuple[Letter, ...] = ()
    looks: int = 0

    async def snapshot(self, older_seconds: float) -> YardSnapshot:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.now

    async def jobs(self, queue: QueueRow | None) -> tuple[ListedJob, ...]:
        return self.listed

    async def letters(self) -> tuple[Letter, ...]:
        return self.dead

    async def explain(self, job: ListedJob) -> str:
        return f"job {job.job} waits: every row of w1 and w2 is taken."
