"""Every stream, bucket and consumer of a yard, declared as data.

Declarations are the server's own JSON: nats-py has no field for priority groups, and a plain dict can be
compared with what exists. Two choices that look odd, both forced by the server
(2.15.1; see docs/architecture.md):

- Schedules live in a stream of their own, YARD_DELAYED: "message scheduling cannot use discard new" (10052),
  and the back-pressure of YARD_JOBS is worth more than one stream less. A due job stays there until it is
  acked, so nothing is copied.
- One consumer per lane instead of one in all: a consumer delivers in stream order, so behind 100,000 bulk
  jobs an urgent one would not even enter the dispatcher's window.

With several partitions there is a consumer per lane and partition, and the server itself puts a job's
partition behind its subject as it stores it: by the hash of the adapter, so that a group lives in one
partition. Consumers of a work queue must not overlap, and one that reads a list of subjects gives out half as
many jobs a second (measured: 11,000 for 21,000), so each reads one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from lorayard_schemas.job import Lane
from lorayard_schemas.token_event import TOKENS_AGE_SECONDS
from lorayard_shared.settings import YardSettings

NANOSECONDS: Final = 1_000_000_000

PIN_GROUP: Final = "dispatch"
"""The priority group: the server serves one dispatcher per consumer at a time, the one it has pinned. A
second group would not be pinned apart from the first (measured, 2.15)."""

PIN_SECONDS: Final = 3
"""Silence after which the pin moves on; pulls are re-issued every `Puller.EXPIRES_SECONDS`, well below."""

PINNED: Final = {"priority_policy": "pinned_client", "priority_timeout": PIN_SECONDS * 1_000_000_000}
PRIORITIZED: Final = {"priority_policy": "prioritized"}
"""While no dispatcher lives: workers pull by themselves."""

MAX_DELIVER: Final = 1000
"""A fuse only: poison is judged by our own count, long before."""

MAX_CONSUMERS: Final = 100_000
"""Set because 2.15 caps a stream at 1,000 otherwise, and bursts of object gets hit it."""

WORKER_TTL_SECONDS: Final = 5
"""A worker that has not beaten for this long is dead."""

WORKER_MARK_SECONDS: Final = 600
"""So long the bus remembers that it died without a word, for whoever looks: a person has seen it by then."""

DISPATCHER_TTL_SECONDS: Final = 3
"""A dispatcher that has not beaten for this long is dead, or hangs; as long as a pin, which runs beside."""

DISPATCHER_SILENT_SECONDS: Final = 2.0 * DISPATCHER_TTL_SECONDS
"""What it wrote so long ago, by the reader's clock, is void though the server still has it, whose clock may
have been set back."""

DUE_LANE: Final = "due"

CHECK_DELAYED: Final = "check-delayed"
"""Shows a dispatcher every message among the schedules once: the server stores what it never serves, too."""

JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDeclaration:
    """One stream; buckets are streams too."""

    name: str
    config: JsonMap
    live: bool = False
    """Whether all it holds is told again by whoever lives, so that an empty one does as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerDeclaration:
    """One durable pull consumer."""

    stream: str
    name: str
    config: JsonMap
    partition: int = 0
    """Who is active for this partition reads it."""
    lane: Lane | None = None
    """Whose jobs it gives out; None: of whatever lane, or no jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All of a yard's declarations."""

    streams: tuple[StreamDeclaration, ...]
    consumers: tuple[ConsumerDeclaration, ...]


def topology(settings: YardSettings) -> Topology:
    """What must exist on the bus for these settings."""
    return Topology(
        streams=(
            *_job_streams(settings),
            *_record_streams(settings),
            *_key_values(settings),
            *_objects(settings),
        ),
        consumers=_consumers(settings),
    )


def _job_streams(settings: YardSettings) -> tuple[StreamDeclaration, ...]:
    """What a job passes through, and what comes of it."""
    s = settings.subjects
    return (
        _stream(
            settings,
            "jobs",
            # Exactly the subjects that a consumer reads: any other is refused at the door, not kept unseen.
            [f"{settings.prefix}.jobs.{lane}.*.*" for lane in Lane],
            retention="workqueue",
            discard="new",
            max_bytes=settings.jobs_max_bytes,
            duplicate_window=120 * NANOSECONDS,
            allow_atomic=True,
            subject_transform=_by_partition(settings),
        ),
        _stream(
            settings,
            "delayed",
            [s.delayed, s.due],
            retention="workqueue",
            discard="old",
            duplicate_window=120 * NANOSECONDS,
            allow_msg_schedules=True,
        ),
        _stream(
            settings,
            "results",
            [s.results],
            max_msgs_per_subject=1,
            discard="new",
            discard_new_per_subject=True,
            max_bytes=settings.results_max_bytes,
            republish={"src": s.results, "dest": f"{settings.prefix}.done.>"},
        ),
        _stream(
            settings,
            "tokens",
            [s.tokens],
            max_age=TOKENS_AGE_SECONDS * NANOSECONDS,
            max_bytes=settings.tokens_max_bytes,
            republish={"src": s.tokens, "dest": s.told_all},
        ),
    )


def _record_streams(settings: YardSettings) -> tuple[StreamDeclaration, ...]:
    """What is written down of jobs."""
    s = settings.subjects
    day = 86_400 * NANOSECONDS
    return (
        _stream(settings, "dead", [s.dead], max_age=30 * day, max_bytes=256 * 2**20),
        _stream(
            settings,
            "audit",
            [s.audit],
            max_age=settings.audit_age_seconds * NANOSECONDS,
            max_bytes=settings.audit_max_bytes,
        ),
        # Counters: the server refuses a time to live for each, so all live for longer than a month's quota.
        _stream(
            settings,
            "usage",
            [s.usages],
            max_msgs_per_subject=1,
            max_age=70 * day,
            duplicate_window=120 * NANOSECONDS,
            allow_msg_counter=True,
            allow_msg_ttl=False,
        ),
    )


def _by_partition(settings: YardSettings) -> JsonMap | None:
    """Puts a job's partition behind its subject; None: there is one, and subjects stay as they are."""
    if settings.partitions == 1:
        return None
    kept = ".".join(f"{{{{wildcard({number})}}}}" for number in (1, 2, 3))
    return {
        "src": f"{settings.prefix}.jobs.*.*.*",
        "dest": f"{settings.prefix}.jobs.{kept}.{{{{partition({settings.partitions},3)}}}}",
    }


def partitions_of(config: JsonMap) -> int:
    """How many partitions a stream of jobs has, by its configuration on the server."""
    transform: JsonMap = config.get("subject_transform") or {}
    found = re.search(r"partition\((\d+),", str(transform.get("dest", "")))
    return int(found[1]) if found else 1


def _stream(settings: YardSettings, kind: str, subjects: list[str], **config: Any) -> StreamDeclaration:
    base: JsonMap = {
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": settings.replicas,
        "max_consumers": MAX_CONSUMERS,
        "allow_direct": True,
        "allow_msg_ttl": True,
    }
    return StreamDeclaration(name=settings.subjects.stream(kind), config={**base, **config})


def _key_values(settings: YardSettings) -> tuple[StreamDeclaration, ...]:
    day = 86_400 * NANOSECONDS
    return (
        # History 1: when the newest value expires, an older one would show again.
        _key_value(
            settings, "workers", live=True, subject_delete_marker_ttl=WORKER_MARK_SECONDS * NANOSECONDS
        ),
        _key_value(settings, "dispatchers", live=True, subject_delete_marker_ttl=10 * NANOSECONDS),
        _key_value(settings, "adapters", history=16),
        _key_value(settings, "models"),
        _key_value(settings, "placements", history=16),
        _key_value(settings, "aliases", history=16),
        _key_value(settings, "rules", history=16),
        _key_value(settings, "tenants", history=16),
        _key_value(settings, "control", history=16),
        _key_value(settings, "schedules", history=16),
        _key_value(settings, "keys", history=16),
        _key_value(settings, "files"),
        _key_value(settings, "batches"),
        _key_value(settings, "batch_leases", live=True),
        _key_value(settings, "interruptions", live=True, max_age=day),
        _key_value(settings, "turns", live=True),
        _key_value(settings, "sessions", live=True, max_age=settings.session_ttl_seconds * NANOSECONDS),
    )


def _key_value(
    settings: YardSettings, kind: str, *, history: int = 1, live: bool = False, **config: Any
) -> StreamDeclaration:
    bucket = settings.subjects.bucket(kind)
    base: JsonMap = {
        "subjects": [f"$KV.{bucket}.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": settings.replicas,
        "max_consumers": MAX_CONSUMERS,
        "max_msgs_per_subject": history,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_msg_ttl": True,
    }
    return StreamDeclaration(name=f"KV_{bucket}", config={**base, **config}, live=live)


def _objects(settings: YardSettings) -> tuple[StreamDeclaration, ...]:
    payload_age = kept_seconds(settings) * NANOSECONDS
    return (
        _object_store(settings, "blobs", max_age=0, max_bytes=settings.blobs_max_bytes or -1),
        _object_store(settings, "payloads", max_age=payload_age, max_bytes=settings.payloads_max_bytes),
        _object_store(settings, "file_parts", max_age=0, max_bytes=settings.files_max_bytes or -1),
    )


def kept_seconds(settings: YardSettings) -> int:
    """How long a payload is kept: it is needed as long as its job or result, and twice the results' own time
    is ample."""
    return 2 * max(settings.result_ttl_seconds, 86_400)


def _object_store(settings: YardSettings, kind: str, **config: Any) -> StreamDeclaration:
    bucket = settings.subjects.bucket(kind)
    base: JsonMap = {
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "num_replicas": settings.replicas,
        "max_consumers": MAX_CONSUMERS,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
    }
    return StreamDeclaration(name=f"OBJ_{bucket}", config={**base, **config})


def lane_consumer(lane: Lane, partition: int | None = None) -> str:
    """Name of the consumer that feeds dispatchers from one lane; with a partition where there are several."""
    return f"dispatch-{lane}" if partition is None else f"dispatch-{lane}-{partition}"


def _consumers(settings: YardSettings) -> tuple[ConsumerDeclaration, ...]:
    s = settings.subjects
    lanes = [
        _lane_consumer(settings, lane, partition) for partition in range(settings.partitions) for lane in Lane
    ]
    # Retried jobs are few: one dispatcher gets those of all partitions.
    due = _consumer(settings, "delayed", f"dispatch-{DUE_LANE}", s.due)
    # Once each and without a window: a schedule in order is never acked, since an ack would remove it.
    check = _consumer(settings, "delayed", CHECK_DELAYED, s.delayed, max_deliver=1, max_ack_pending=-1)
    return (*lanes, due, check)


def _lane_consumer(settings: YardSettings, lane: Lane, partition: int) -> ConsumerDeclaration:
    subjects = f"{settings.prefix}.jobs.{lane}"
    if settings.partitions == 1:
        consumer = _consumer(settings, "jobs", lane_consumer(lane), f"{subjects}.>")
    else:
        name = lane_consumer(lane, partition)
        consumer = _consumer(settings, "jobs", name, f"{subjects}.*.*.{partition}")
    return replace(consumer, partition=partition, lane=lane)


def _consumer(
    settings: YardSettings, kind: str, name: str, subject: str, **config: Any
) -> ConsumerDeclaration:
    return ConsumerDeclaration(
        stream=settings.subjects.stream(kind),
        name=name,
        config={
            "durable_name": name,
            "name": name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(settings.ack_wait_seconds * NANOSECONDS),
            "max_deliver": MAX_DELIVER,
            # Twice what a dispatcher parks: one that died holds its own for `ack_wait`, and the next one
            # shall not have to wait for it.
            "max_ack_pending": 2 * settings.window,
            "filter_subject": subject,
            "priority_groups": [PIN_GROUP],
            **PINNED,
            **config,
        },
    )
