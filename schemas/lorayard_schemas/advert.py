"""What a worker tells the yard about itself: one key, one writer, in the bucket `yard_workers`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Digest

MAX_INTEGER = 2**63 - 1
"""What every reader of msgpack can hold."""

MAX_TOLD_DIGESTS = 8192
"""In host memory. With the rest of an advert, slots and jobs at their most, 0.9 MB; a message holds 1 MiB."""
MAX_TOLD_LOADING = 256
MAX_LABELS = 64
MAX_REFUSED_ADAPTERS = 32
MAX_FAULTS = 4
MAX_REFUSED_CHARACTERS = 300
"""An advert goes out many times a second: it names the trouble, and the worker's log has all of it."""


Unix = Annotated[float, Field(allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A planner compares and sums these: one that is no number would spoil every plan."""


class RefusedAdapter(Part):
    """A version folder that the worker found and does not serve."""

    name: str = Field(max_length=MAX_REFUSED_CHARACTERS)
    """As the folders say; maybe no name that a job could give."""
    version: str = Field(max_length=MAX_REFUSED_CHARACTERS)
    reason: str = Field(max_length=MAX_REFUSED_CHARACTERS)


class SlotAdvert(Part):
    """One adapter in a device slot."""

    digest: Digest
    rows: int = Field(default=0, ge=0)
    columns: int = Field(default=0, ge=0)
    """Of the worker's `columns_total`; 0: not counted."""
    last_used: Unix = 0.0
    pinned: bool = False


class WorkerCounters(Part):
    """Since the worker's start."""

    adapter_rows: int = 0
    """Rows started with an adapter; base-model rows need none."""
    slot_hits: int = 0
    """Of those, rows that found it in a slot and waited for no load."""
    slot_loads: int = 0
    disk_loads: int = 0
    evictions: int = 0
    jobs_succeeded: int = 0
    jobs_failed: int = 0
    completion_tokens: int = 0


class WorkerAdvert(Message):
    """Residency, room and health of one worker. Written on change and as a heartbeat."""

    worker: str
    epoch: int = Field(ge=0, le=MAX_INTEGER)
    """Boot time in nanoseconds: a new one means an empty worker."""
    sequence: int = Field(ge=0, le=MAX_INTEGER)
    at: Unix
    """Unix seconds by the worker's clock."""
    engine: str
    model: str
    base_digest: Digest
    context_tokens: int = Field(ge=0)
    composes: bool = False
    """Whether its engine takes jobs with several adapters."""
    dedicated: Digest | None = None
    """The only adapter it serves, in its base weights or soon; None: all, and the base model."""
    bound: bool = False
    """By its own settings: no order about tiers is meant for it."""
    labels: dict[str, str] = Field(default_factory=dict, max_length=MAX_LABELS)
    """What its operator says of it, for placement."""
    slots: tuple[SlotAdvert, ...] = ()
    slot_count: int = Field(default=0, ge=0)
    columns_used: int = Field(default=0, ge=0)
    columns_total: int = Field(default=0, ge=0)
    """What the slots' adapters share: each takes its rank in whole pages, so that large ones leave room for
    fewer than `slot_count`; 0: only their number counts."""
    host: tuple[Digest, ...] = ()
    """In host memory: one short copy away from a slot."""
    loading: tuple[Digest, ...] = ()
    """On their way into host memory."""
    folder_changes: int = Field(default=0, ge=0)
    """How often its own folder of adapters has changed: with another number, it may have what it lacked."""
    refused_adapters: tuple[RefusedAdapter, ...] = Field(default=(), max_length=MAX_REFUSED_ADAPTERS)
    rows_running: int = Field(default=0, ge=0)
    rows_max: int = Field(default=0, ge=0)
    load_ms_host: Milliseconds = 0.0
    """Host memory to slot, the last loads' mean; 0: none yet."""
    load_ms_disk: Milliseconds = 0.0
    """Disk to host memory."""
    slot_bytes: int = 0
    host_bytes: int = 0
    host_room: int = Field(default=0, ge=0)
    """Adapters of the largest size held so far that host memory takes before any has to make way."""
    counters: WorkerCounters = WorkerCounters()
    load: WorkerLoad
    emergency: bool = False
    """It hears no dispatcher, and pulls jobs by itself."""
    pid: int = 0
    trouble: str = Field(default="", max_length=MAX_REFUSED_CHARACTERS)
    """Why it answers nothing and is about to end; empty: it is well. It is given no jobs."""
    faults: tuple[Annotated[str, Field(max_length=MAX_REFUSED_CHARACTERS)], ...] = Field(
        default=(), max_length=MAX_FAULTS
    )
    """What makes no progress in it, in sentences: an engine at one piece of work, a bucket unheard."""
