"""Who there is in a yard, and the subjects that each may publish on and listen to.

`$JS.API` names in the subject what is asked of which stream, so what a role needs of streams is a list of
subjects too. What subjects cannot part, docs/security.md tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lorayard_cli.security.boundary import tenant_publishes, tenant_subscribes
from lorayard_schemas.subjects import Subjects


class Role(StrEnum):
    """One set of permissions."""

    CLIENT = "client"
    """Of one tenant, in the tenant's account."""
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    """Whoever changes the yard: adapters, limits, pauses, streams."""
    OBSERVER = "observer"
    """Whoever looks: exporters, `lorayard status`, `top`."""


YARD_ROLES: Final = tuple(role for role in Role if role is not Role.CLIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Subjects, with wildcards."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False
    """Whether it may answer whoever asks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """A role's needs, by kind of stream, bucket and object store; `{p}` stands for the yard's prefix."""

    reads: tuple[str, ...] = ()
    """Streams, message by message."""
    watches: tuple[str, ...] = ()
    """Buckets: read, listed, and followed."""
    writes: tuple[str, ...] = ()
    """Buckets."""
    fetches: tuple[str, ...] = ()
    """Object stores that are read."""
    stores: tuple[str, ...] = ()
    """Object stores that are written; what was put under a name before is purged."""
    pulls: bool = False
    """Whether it takes jobs out of their consumers, and acknowledges them."""
    declares: bool = False
    """Whether it makes streams and consumers that are missing."""
    says: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    answers: bool = False


_JOB_STREAMS: Final = ("jobs", "delayed", "results", "tokens")
_BUCKETS: Final = (
    *("workers", "dispatchers", "adapters", "models", "placements", "aliases", "rules", "tenants"),
    *("control", "schedules", "interruptions", "sessions", "turns"),
)
"""Those that every part of the yard may read; not `keys`, nor what HTTP clients have stored."""

_HTTP_BUCKETS: Final = ("files", "batches", "batch_leases")
_ASKS: Final = (
    *("{p}.dispatcher.status", "{p}.dispatcher.*.status", "{p}.dispatcher.*.health"),
    *("{p}.dispatcher.explain", "{p}.dispatcher.limits", "{p}.dispatcher.placements"),
    *("{p}.svc.>", "{p}.worker.*.control.health", "$SRV.>"),
)
"""Questions that change nothing."""

_SERVES: Final = ("$SRV.>",)
"""Micro services hear these, and `nats micro ls` asks."""

_ENDS: Final = ("{p}.dispatcher.cancel", "{p}.dispatcher.cancel-many")
_PARKED: Final = ("{p}.dispatcher.cancel-parked", "{p}.dispatcher.cancel-parked-many")
_ADVISORIES: Final = (
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
)

_NEEDS: Final[dict[Role, _Needs]] = {
    Role.DISPATCHER: _Needs(
        reads=(*_JOB_STREAMS, "dead", "usage", "audit"),
        watches=_BUCKETS,
        writes=(
            *("dispatchers", "placements", "control", "aliases", "schedules", "sessions"),
            *("interruptions", "turns"),
        ),
        fetches=("payloads", "blobs"),
        stores=("payloads",),
        pulls=True,
        declares=True,
        says=(
            *("{p}.worker.*.assign", "{p}.worker.*.control.>", *_ENDS, *_PARKED, "{p}.delayed.>"),
            *("{p}.results.>", "{p}.dead.>", "{p}.audit.>", "{p}.usage.>", "{p}.limits", "{p}.door.*"),
            "{p}.tokens.>",
        ),
        hears=(
            *("{p}.dispatcher.>", "{p}.own.>", "{p}.load.*", "{p}.limits", "{p}.done.>", *_SERVES),
            *("$KV.{p}_sessions.>", *_ADVISORIES),
        ),
        answers=True,
    ),
    Role.WORKER: _Needs(
        reads=_JOB_STREAMS,
        watches=_BUCKETS,
        writes=("workers", "adapters", "models", "interruptions", "sessions", "turns"),
        fetches=("blobs", "payloads"),
        stores=("blobs", "payloads"),
        pulls=True,
        says=(
            *("{p}.results.>", "{p}.tokens.>", "{p}.dead.>", "{p}.delayed.>", "{p}.audit.>", "{p}.load.*"),
            *("{p}.worker.*.control.cancel", "{p}.worker.*.control.cancel-many", *_PARKED),
            "{p}.dispatcher.status",
        ),
        # While no dispatcher lives, a worker takes its orders too.
        hears=("{p}.worker.>", "{p}.dispatcher.>", *_SERVES, "$KV.{p}_workers.>", *_ADVISORIES),
        answers=True,
    ),
    Role.GATEWAY: _Needs(
        reads=(*_JOB_STREAMS, "audit", "dead"),
        watches=(*_BUCKETS, *_HTTP_BUCKETS, "keys"),
        writes=_HTTP_BUCKETS,
        fetches=("payloads", "file_parts", "blobs"),
        stores=("payloads", "file_parts"),
        says=("{p}.jobs.>", "{p}.delayed.>", "{p}.audit.act.>", *_ENDS, *_ASKS),
        hears=("{p}.done.>", "{p}.told.>", "{p}.door.*", "{p}.svc.>", "{p}.audit.>", *_SERVES),
        answers=True,
    ),
    Role.OPERATOR: _Needs(
        reads=(*_JOB_STREAMS, "dead", "audit", "usage"),
        watches=(*_BUCKETS, *_HTTP_BUCKETS, "keys"),
        writes=(
            "adapters",
            "models",
            "aliases",
            "rules",
            "tenants",
            "control",
            "keys",
            "schedules",
            "placements",
        ),
        fetches=("blobs", "payloads", "file_parts"),
        stores=("blobs", "payloads"),
        declares=True,
        says=(
            *("{p}.jobs.>", "{p}.delayed.>", "{p}.audit.>", "{p}.dispatcher.>", "{p}.worker.*.control.>"),
            *("{p}.supervisor.workers", "{p}.results.>", *_ASKS),
            *(
                "$JS.API.STREAM.UPDATE.*",
                "$JS.API.STREAM.PURGE.{u}_DEAD",
                "$JS.API.STREAM.MSG.DELETE.{u}_DEAD",
            ),
            *("$JS.API.STREAM.MSG.DELETE.{u}_JOBS", "$JS.API.STREAM.MSG.DELETE.{u}_DELAYED"),
            "$JS.API.STREAM.PURGE.{u}_DELAYED",
        ),
        hears=(
            *("{p}.done.>", "{p}.told.>", "{p}.door.*", "{p}.svc.>", "{p}.supervisor.workers", "{p}.audit.>"),
            *_SERVES,
        ),
        answers=True,
    ),
    Role.OBSERVER: _Needs(
        reads=("jobs", "delayed", "dead", "audit", "usage"),
        watches=(*_BUCKETS, *_HTTP_BUCKETS),
        says=_ASKS,
        # An exporter answers for the yard, and counts results as they come.
        hears=("{p}.done.>", "{p}.svc.>", "{p}.audit.>", *_SERVES),
        answers=True,
    ),
}


def inbox_prefix(role: Role) -> str:
    """Under which replies to it come: nobody else may listen there."""
    return f"_INBOX_{role}"


def permissions(role: Role, subjects: Subjects, tenant: str | None = None) -> Permissions:
    """What a role may do; of a client, `tenant` says whose."""
    inbox = f"{inbox_prefix(role)}.>"
    if tenant is not None:
        return Permissions(
            publish=tenant_publishes(subjects, tenant),
            subscribe=(inbox, *tenant_subscribes(subjects, tenant)),
        )
    needs = _NEEDS[role]
    named = {"p": subjects.prefix, "u": subjects.prefix.upper().replace("-", "_")}
    says = (*needs.says, *_of_streams(needs, subjects))
    return Permissions(
        publish=tuple(dict.fromkeys(one.format(**named) for one in says)),
        subscribe=(inbox, *(one.format(**named) for one in needs.hears)),
        answers=needs.answers,
    )


def _of_streams(needs: _Needs, subjects: Subjects) -> tuple[str, ...]:
    api = "$JS.API"
    found = [f"{api}.INFO", f"{api}.STREAM.INFO.*", f"{api}.STREAM.LIST", f"{api}.STREAM.NAMES"]
    found += [f"{api}.CONSUMER.INFO.>", f"{api}.CONSUMER.LIST.*", f"{api}.CONSUMER.NAMES.*"]
    buckets = [f"KV_{subjects.bucket(kind)}" for kind in needs.watches]
    objects = [f"OBJ_{subjects.bucket(kind)}" for kind in needs.fetches]
    for stream in (*(subjects.stream(kind) for kind in needs.reads), *buckets, *objects):
        found += [f"{api}.DIRECT.GET.{stream}", f"{api}.DIRECT.GET.{stream}.>"]
        found.append(f"{api}.STREAM.MSG.GET.{stream}")
    for stream in (*buckets, *objects):
        found += [f"{api}.CONSUMER.CREATE.{stream}", f"{api}.CONSUMER.CREATE.{stream}.>"]
        found.append(f"{api}.CONSUMER.DELETE.{stream}.*")
    if buckets or objects:
        found.append("$JS.FC.>")
    found += [f"$KV.{subjects.bucket(kind)}.>" for kind in needs.writes]
    for kind in needs.stores:
        bucket = subjects.bucket(kind)
        found += [f"$O.{bucket}.C.*", f"$O.{bucket}.M.*", f"{api}.STREAM.PURGE.OBJ_{bucket}"]
    return (*found, *_of_jobs(needs, subjects))


def _of_jobs(needs: _Needs, subjects: Subjects) -> list[str]:
    api, queues = "$JS.API", [subjects.stream("jobs"), subjects.stream("delayed")]
    found: list[str] = []
    if needs.pulls:
        found.append("$JS.ACK.>")
        for stream in queues:
            found += [f"{api}.CONSUMER.{verb}.{stream}.*" for verb in ("MSG.NEXT", "UNPIN")]
            found += [f"{api}.STREAM.MSG.DELETE.{stream}", f"{api}.CONSUMER.CREATE.{stream}.*"]
        found.append(f"{api}.STREAM.PURGE.{queues[1]}")
        found.append(f"{api}.STREAM.PURGE.KV_{subjects.bucket('turns')}")
    if needs.declares:
        found.append(f"{api}.STREAM.CREATE.*")
        found += [f"{api}.CONSUMER.CREATE.{stream}.*" for stream in queues]
    return found
