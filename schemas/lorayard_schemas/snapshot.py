"""What an operator sees of a yard: one read model behind `status`, `top`, the page and `health` (F3).

Asked for on `{prefix}.svc.snapshot` (NATS micro service `lorayard-snapshot`): any number of processes may
answer, whoever is asked first does. It is read from the bus alone, so that it holds while dispatchers and
workers are dead; only what they alone know (why jobs are parked, latencies) is then missing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from lorayard_schemas.control import Cap, Pause
from lorayard_schemas.job import Lane
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Digest
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.strike import Strike

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

MAX_QUEUES = 2_000
MAX_ADAPTERS = 2_000
MAX_WORKERS = 1_024
"""Rows of a snapshot: a message holds 1 MiB. What is left out is counted."""


class SnapshotPart(StrEnum):
    """What can be asked for; overview, troubles and dispatchers are always there."""

    QUEUES = "queues"
    ADAPTERS = "adapters"
    WORKERS = "workers"
    HOLDS = "holds"
    BATCHES = "batches"


class AskSnapshot(Message):
    """Asks for some parts of it, or all."""

    parts: tuple[SnapshotPart, ...] = tuple(SnapshotPart)
    older_seconds: Seconds = 1.0
    """How old it may be: who answers reads the bus anew only for more than that."""


class TroubleLevel(StrEnum):
    """How soon somebody should look."""

    WARNING = "warning"
    CRITICAL = "critical"


class Trouble(Part):
    """Something that is wrong now, and what mends it."""

    level: TroubleLevel
    code: str
    """A word for machines, one of `docs/runbook.md`: `no_dispatcher`, `no_worker`, `worker_silent` ..."""
    text: str
    """A sentence for people."""
    mend: str = ""
    """What to do: a command where there is one."""
    about: str = ""
    """The worker, adapter, lane or stream it is about."""


class QueueRow(Part):
    """Unfinished jobs of one lane, tenant and adapter: those that a worker holds are among them."""

    lane: Lane
    tenant: str
    adapter: str | None = None
    """As jobs name it; None: the yard chooses."""
    jobs: int = Field(ge=0)
    oldest_seconds: Seconds | None = None
    """None: not asked for yet."""


class WaitRow(Part):
    """Jobs of one adapter version that wait in the dispatchers, and what for."""

    adapter: str
    """`name@version`, or `base`; of jobs that are held back as they name it, `_`: they name none.
    `_others`: those beyond the thousand that wait the longest."""
    jobs: int = Field(ge=0)
    oldest_seconds: Seconds = 0.0
    reason: str = ""
    """One of `WaitReason`, of the oldest; empty: not asked."""
    text: str = ""
    """The same in words."""


class AdapterTraffic(Part):
    """Of one adapter version over the last minute, from results as they were heard.

    Where more than `sampled_most` results come in a second only some are read: shares and latencies stay
    right, `per_second` is scaled up.
    """

    per_second: Seconds = 0.0
    errors: Share = 0.0
    p50_ms: Seconds = 0.0
    p95_ms: Seconds = 0.0
    """From publish to result."""


class AdapterRow(Part):
    """One adapter version."""

    name: str
    version: str
    digest: Digest
    state: str
    """One of `AdapterState`."""
    rank: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    waiting: int = Field(default=0, ge=0)
    """Unfinished jobs that name it, by version or by name where it is the one that answers."""
    slots: tuple[str, ...] = ()
    """Workers that hold it in a slot."""
    host: int = Field(default=0, ge=0)
    """Workers that hold it in host memory."""
    loading: int = Field(default=0, ge=0)
    aliases: dict[str, float] = Field(default_factory=dict[str, float])
    """Alias -> its percentage of the requests."""
    struck: str = ""
    """Why; empty: it is not."""
    pinned: bool = False
    """It is to stay in a slot: so its own declaration says, or that of its name where it is meant by it."""
    placed: bool = False
    """Something is declared of where it shall be, of this version or of its name."""
    refused_by: tuple[str, ...] = ()
    """Workers that refuse it."""
    traffic: AdapterTraffic | None = None
    """None: none heard within the last minute."""


class WorkerRow(Part):
    """One worker, alive or just lost."""

    worker: str
    epoch: int = 0
    age_seconds: Seconds
    """Since it was last heard."""
    lost: bool = False
    """It is gone without having said so; kept for ten minutes, until it comes back or is forgotten. Once its
    advert has run out, too, its name and age are all that the bus has of it, and that is shown here."""
    silent: bool = False
    """It is late, and may come back: the trouble `worker_silent`."""
    engine: str = ""
    model: str = ""
    rows_running: int = 0
    rows_max: int = 0
    room: int = 0
    """Jobs that it would take now."""
    slots_used: int = 0
    slot_count: int = 0
    adapters: tuple[str, ...] = ()
    """In its slots: `name@version`."""
    hit_rate: Share | None = None
    slot_bytes: int = 0
    host_bytes: int = 0
    tokens_per_second: Seconds | None = None
    """Between its last two adverts that were read."""
    succeeded: int = 0
    failed: int = 0
    draining: bool = False
    paused: bool = False
    emergency: bool = False
    trouble: str = ""
    dedicated: str | None = None
    pid: int = 0


class BatchRow(Part):
    """One batch of a gateway."""

    batch: str
    tenant: str
    status: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    created_at: float = 0.0


class Overview(Part):
    """The yard in a line."""

    unfinished: int = Field(ge=0)
    """In the streams, exact at the moment of reading: those at workers too, delayed ones not."""
    delayed: int = Field(ge=0)
    at_workers: int = Field(default=0, ge=0)
    """Rows that run, as workers say."""
    oldest_seconds: Seconds | None = None
    by_lane: dict[Lane, int] = Field(default_factory=dict[Lane, int])
    dead_letters: int = Field(default=0, ge=0)
    workers: int = Field(default=0, ge=0)
    """Alive."""
    workers_lost: int = Field(default=0, ge=0)
    dispatchers: int = Field(default=0, ge=0)
    adapters: int = Field(default=0, ge=0)
    """Active versions."""
    hit_rate: Share | None = None
    """Of adapter jobs over the last minute, or since the workers' start where nobody looked before."""
    jobs_per_second: Seconds | None = None
    """Ended, between the last two readings."""
    tokens_per_second: Seconds | None = None
    loads_per_second: Seconds | None = None


class YardSnapshot(Message):
    """All of it, at one moment."""

    prefix: str
    url: str
    """Without credentials."""
    release: str
    """Of who answers."""
    sequence: int = Field(ge=1)
    """Counts the readings of who answers: the same number is the same reading."""
    at: float
    """Unix seconds, by the clock of who answers."""
    took_ms: Seconds
    overview: Overview
    troubles: tuple[Trouble, ...] = ()
    """The worst first; none: all is well."""
    dispatchers: tuple[DispatcherStatus, ...] = ()
    """Those that answered within the time there was."""
    waits: tuple[WaitRow, ...] = ()
    queues: tuple[QueueRow, ...] = Field(default=(), max_length=MAX_QUEUES)
    """The most jobs first."""
    queues_left_out: int = 0
    adapters: tuple[AdapterRow, ...] = Field(default=(), max_length=MAX_ADAPTERS)
    adapters_left_out: int = 0
    workers: tuple[WorkerRow, ...] = Field(default=(), max_length=MAX_WORKERS)
    workers_left_out: int = 0
    strikes: tuple[Strike, ...] = ()
    pauses: tuple[Pause, ...] = ()
    caps: tuple[Cap, ...] = ()
    batches: tuple[BatchRow, ...] = ()
    """Not ended, and those ended within the last hour."""
