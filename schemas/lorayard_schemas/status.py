"""What a dispatcher tells about itself on demand."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from lorayard_schemas.message import Message, Part
from lorayard_schemas.semantic import SemanticStatus

OTHERS: Final = "_others"
"""Adapters that are not told one by one, together: none is called so."""


class ParkedGroup(Part):
    """Jobs of one adapter that wait in the dispatcher."""

    adapter: str
    """`name@version`, or `base`; `_others`: all beyond the thousand that wait the longest."""
    jobs: int = Field(ge=0)
    oldest_seconds: float = 0.0
    reason: str = ""
    """What the oldest waits for, one of `WaitReason`; empty: not looked at."""
    text: str = ""
    """The same in words."""


class DispatcherStatus(Message):
    """A dispatcher's own counts since its start."""

    dispatcher: str
    started_at: float
    """Unix seconds."""
    seats: tuple[int, ...] = ()
    """Partitions it is active for; none: it stands by."""
    seats_elsewhere: dict[str, str] = Field(default_factory=dict)
    """Partition -> the dispatcher that is active for it, as far as this one knows."""
    dispatchers: tuple[str, ...] = ()
    """All that live, as far as this one knows, itself included."""
    parked: tuple[ParkedGroup, ...] = ()
    held: tuple[ParkedGroup, ...] = ()
    """Jobs that wait for something else than room, by adapter as they name it; `_`: they name none."""
    struck: int = 0
    """Jobs that wait for a strike to be lifted."""
    paused: int = 0
    """Jobs here that wait for the end of a pause; most of a paused lane stay in their stream."""
    capped: int = 0
    """Jobs here that wait because as many of their adapter, tenant or lane run as somebody allows."""
    handing_over: int = 0
    workers: tuple[str, ...] = ()
    taken: int = 0
    """Deliveries read from the streams."""
    handed_over: int = 0
    answered: int = 0
    """Jobs answered without a worker: refused, expired, cancelled."""
    warm: int = 0
    """Hand-overs to a worker that held the adapter."""
    cold: int = 0
    """Hand-overs that cost a load."""
    refused: int = 0
    """Jobs that a worker gave back."""
    refused_for: dict[str, int] = Field(default_factory=dict)
    """The same by reason."""
    forced: int = 0
    """Jobs refused twice and sent to the home of their adapter, room or not."""
    lapsed: int = 0
    """Jobs that came again though a worker had accepted them: it let their lease run out."""
    blind: bool = False
    """Most workers are not heard: jobs go by hash and bounded load."""
    stale: int = 0
    """Workers not heard for longer than a beat and a half."""
    unread_adverts: dict[str, str] = Field(default_factory=dict)
    """Keys in the bucket of workers whose value is not believed, and why."""
    prefetches: int = 0
    """Adapters that workers were asked to bring to host memory ahead of their jobs."""
    prefetches_arrived: int = 0
    prefetches_failed: int = 0
    """Refused, unanswered or not arrived; none costs a job."""
    loads_in_arrival_order: int = 0
    """Loads that the same jobs would have cost on the same slots, given out in turn as they came."""
    placements: int = 0
    """Adapters of which something is declared, or that are merged."""
    placements_kept: int = 0
    """Of those, where they should be."""
    misplaced: tuple[str, ...] = ()
    """Some of the others, as `name@version`."""
    sessions: int = 0
    """Sessions that it has in memory, also some that are over."""
    session_turns_kept: int = 0
    """Their turns after the first that went to the worker of the one before."""
    session_turns_moved: int = 0
    """The others: that worker was gone, or busy for longer than reading the conversation anew takes."""
    sessions_failed: int = 0
    """Reads and writes of the bucket of sessions that failed."""
    limits: int = 0
    """Tenants, adapters and pairs of both whose limits are at work."""
    limits_refused: int = 0
    """Jobs over a limit."""
    limits_refused_for: dict[str, int] = Field(default_factory=dict)
    """The same by limit, as `requests_rate`."""
    limits_waiting: int = 0
    """Jobs that a rate keeps back now."""
    limits_delayed: int = 0
    """Jobs that a rate has kept back for a while."""
    limits_tight: tuple[str, ...] = ()
    """Some limits that are used up now, for people."""
    shed_hopeless: int = 0
    """Jobs told at once that they would wait beyond their deadlines."""
    shed_by_lane: int = 0
    """Jobs refused as too many of their lane, or of a more urgent one, wait."""
    semantic: SemanticStatus | None = None
    """Of its classifier; None: none was put into force."""
    audit_lost: int = 0
    """Audit records that are known not to be stored."""
    failures: int = 0
    """Tasks of its own that ended with an error nobody expected; the log has each as `loop_failed`."""
    missing: tuple[str, ...] = ()
    """Streams, buckets and `stream/consumer` that are not on the server and not made again by themselves."""
    faults: tuple[str, ...] = ()
    """What it asks the bus for and hears nothing of, in sentences: pulls, buckets, its seat."""
