"""The buckets that clients may read, and the audit trail; `channels` has all subjects."""

from __future__ import annotations

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.api_key import ApiKeyRecord
from lorayard_schemas.audit import (
    ActRecord,
    DecisionRecord,
    DrainRecord,
    OutcomesRecord,
    PlacementRecord,
    PrefetchRecord,
    RegistryChange,
    ReturnRecord,
    WorkerEndRecord,
)
from lorayard_schemas.batch_record import BatchLease, BatchRecord
from lorayard_schemas.channel import SEND, Channel
from lorayard_schemas.control import Cap, Pause
from lorayard_schemas.file_record import FileRecord
from lorayard_schemas.interruption import InterruptionRecord
from lorayard_schemas.limit import Limits
from lorayard_schemas.message import Message
from lorayard_schemas.model_card import ModelCard
from lorayard_schemas.placement import Placement
from lorayard_schemas.routes import RouteTable
from lorayard_schemas.schedule import Schedule, ScheduleState
from lorayard_schemas.seat import DispatcherAdvert, SeatHolder
from lorayard_schemas.semantic import SemanticRecord
from lorayard_schemas.session import SessionRecord
from lorayard_schemas.strike import Strike
from lorayard_schemas.tenant import TenantRecord
from lorayard_schemas.trial import TrialRecord


def _bucket(name: str, bucket: str, key: str, summary: str, *bodies: type[Message]) -> Channel:
    address = f"$KV.yard_{bucket}.{key}"
    return Channel(
        name=name, address=address, summary=summary, side=SEND, bodies=bodies, kept=f"yard_{bucket}"
    )


BUCKETS: tuple[Channel, ...] = (
    _bucket("workers", "workers", "{worker}", "What a worker has and does, each second.", WorkerAdvert),
    _bucket("adapters", "adapters", "{key}.{version}", "What is registered, by version.", AdapterRecord),
    _bucket("models", "models", "{key}", "Base models, and their tokenizers.", ModelCard),
    _bucket("aliases", "aliases", "{key}.{alias}", "Words for versions, with weights.", AliasRecord),
    _bucket("rules", "rules", "table", "What chooses the adapter of jobs that name none.", RouteTable),
    _bucket("classifier", "rules", "semantic", "The classifier in force.", SemanticRecord),
    _bucket("strikes", "control", "strike.{key}", "Whose jobs wait.", Strike),
    _bucket("pauses", "control", "pause.{key}", "What starts no jobs for a while.", Pause),
    _bucket("caps", "control", "cap.{key}", "How many run at once.", Cap),
    _bucket("limitRecords", "tenants", "limit.{key}", "What tenants and adapters may ask for.", Limits),
    _bucket("trials", "control", "trial.{key}", "What the guard has counted.", TrialRecord),
    _bucket("tenantRecords", "tenants", "{key}", "What holds for a tenant's jobs.", TenantRecord),
    _bucket("keys", "keys", "{key}", "Who may speak through a gateway.", ApiKeyRecord),
    _bucket("files", "files", "{tenant}.{key}", "Files of HTTP clients and batches.", FileRecord),
    _bucket("batches", "batches", "{tenant}.{key}", "Batches of HTTP clients.", BatchRecord),
    _bucket("batchLeases", "batch_leases", "{key}", "Which gateway runs a batch.", BatchLease),
    _bucket("plans", "schedules", "plan.{tenant}.{key}", "Jobs that come again and again.", Schedule),
    _bucket("plansDone", "schedules", "state.{tenant}.{key}", "How far each has come.", ScheduleState),
    _bucket("placed", "placements", "{key}", "Where adapters shall be.", Placement),
    _bucket("sessions", "sessions", "{key}", "Adapter and worker of a session's last turn.", SessionRecord),
    _bucket("deaths", "interruptions", "{key}", "Workers that died under a job.", InterruptionRecord),
    _bucket(
        "dispatchers", "dispatchers", "{key}", "Who lives, and who is active.", DispatcherAdvert, SeatHolder
    ),
)


def _audit(name: str, address: str, summary: str, body: type[Message]) -> Channel:
    return Channel(
        name=name,
        address=f"yard.audit.{address}",
        summary=summary,
        side=SEND,
        bodies=(body,),
        kept="YARD_AUDIT",
    )


AUDIT: tuple[Channel, ...] = (
    _audit("decisions", "decision.{tenant}.{job}", "A job was handed over, and why there.", DecisionRecord),
    _audit("returns", "return.{tenant}.{job}", "A worker did not take a job.", ReturnRecord),
    _audit("ends", "end.{worker}", "The last words of a worker that ended itself.", WorkerEndRecord),
    _audit("outcomes", "outcome.{by}", "Jobs that have ended, and how.", OutcomesRecord),
    _audit("acts", "act.{tenant}.{job}", "Who cancelled, redrove or purged a job.", ActRecord),
    _audit("drains", "drain.{worker}", "A worker was freed for an adapter.", DrainRecord),
    _audit("prefetches", "prefetch.{worker}", "Adapters were fetched ahead.", PrefetchRecord),
    _audit("orders", "placement.{worker}", "An order about an adapter, and why.", PlacementRecord),
    _audit("changes", "registry.{what}.{key}.{number}", "Who changed what is registered.", RegistryChange),
)
