"""What an engine says of itself: which adapters it holds, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_shared.metrics.histogram import Counts
from lorayard_shared.value import value


@value
class StepCounts:
    """Steps of an engine since its start."""

    times: Counts  # seconds, by the buckets of `lorayard_worker_step_seconds`
    tokens: int  # computed in them, of prompts and answers


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """One device slot as advertised."""

    digest: str
    rows: int  # rows that use it now; 0 makes it a possible victim
    last_used: float  # unix seconds
    pinned: bool = False
    columns: int = 0  # that it takes of `Residency.columns_total`


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """What an engine holds: an immutable snapshot, replaced whole."""

    slots: tuple[SlotView, ...] = ()
    slot_count: int = 0  # adapters at once; fewer where their ranks fill the columns
    pinned: frozenset[str] = frozenset()  # in a slot for good, or on the way there
    columns_used: int = 0  # of the slots: an adapter takes its rank, rounded up to 8
    columns_total: int = 0
    host: frozenset[str] = frozenset()
    loading: frozenset[str] = frozenset()  # on the way into host memory
    dedicated: str | None = None  # the adapter that is folded into the base weights now
    serves_only: str | None = None  # the adapter that is, or will be: requests for others are refused
    rows_running: int = 0
    rows_max: int = 0
    queued: int = 0  # submitted, no row yet
    adapter_rows: int = 0  # rows started with an adapter, since start
    slot_hits: int = 0  # rows that found their adapter in a slot (`SLOT`, `MERGED`), since start
    slot_loads: int = 0  # copies into a slot, since start
    disk_loads: int = 0
    evictions: int = 0  # of slots
    load_ms_host: float = 0.0  # EWMA of host -> slot
    load_ms_disk: float = 0.0  # EWMA of disk -> host
    slot_bytes: int = 0
    host_bytes: int = 0
    base_bytes: int = 0  # of the base model's weights
    kv_bytes: int = 0  # of the key-value cache; on a CPU taken as it is used
    host_room: int = 0  # adapters that host memory has room for before any has to make way
    kv_blocks: int = 0  # of the key-value cache
    kv_blocks_used: int = 0  # by rows
    prefix_hits: int = 0  # rows that started with blocks of earlier rows, since start
    prefix_tokens: int = 0  # that they did not compute
    preemptions: int = 0  # rows that gave their blocks back and were computed again, since start
    composes: bool = False  # whether requests may name several adapters
    evicted_in_use_lately: int = 0  # of the evictions: within 10 s of their last use
    evicted_wanted_again: int = 0  # that came back to a slot within 10 s
    steps: StepCounts | None = None  # None: it does not time them
