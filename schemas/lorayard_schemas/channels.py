"""Every subject on which something of ours travels, and who says what there; schemas/asyncapi.json is this.

Addresses have the default prefix; `{...}` is one subject token. What others may write or read comes first.
A flat table, hence long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lorayard_schemas import headers
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.api_key import ApiKeyRecord
from lorayard_schemas.assignment import Assignment, AssignmentReply, CancelJob, CancelReply, WorkerLoad
from lorayard_schemas.audit import (
    DecisionRecord,
    DrainRecord,
    PlacementRecord,
    PrefetchRecord,
    RegistryChange,
    ReturnRecord,
    WorkerEndRecord,
)
from lorayard_schemas.batch_record import BatchLease, BatchRecord
from lorayard_schemas.blob import BlobManifest
from lorayard_schemas.cancel_many import CancelMany, CancelManyReply
from lorayard_schemas.control import Cap, Pause
from lorayard_schemas.crew import ChangeCrew, CrewReply
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.explanation import ExplainJob, JobExplanation
from lorayard_schemas.file_record import FileRecord
from lorayard_schemas.give_back import GiveBack, GiveBackReply
from lorayard_schemas.health import HealthReport
from lorayard_schemas.interruption import InterruptionRecord
from lorayard_schemas.job import Job
from lorayard_schemas.limit import AskLimits, ClosedDoor, LimitGossip, Limits, LimitsReport
from lorayard_schemas.message import Message
from lorayard_schemas.model_card import ModelCard
from lorayard_schemas.order import AdapterOrder, OrderReply
from lorayard_schemas.placement import AskPlacements, PlaceAdapter, Placement, PlacementReport, PlaceReply
from lorayard_schemas.result import JobResult
from lorayard_schemas.routes import RouteTable
from lorayard_schemas.samples import TrafficSamples
from lorayard_schemas.schedule import Schedule, ScheduleState
from lorayard_schemas.seat import DispatcherAdvert, SeatHolder
from lorayard_schemas.semantic import SemanticRecord
from lorayard_schemas.session import SessionRecord
from lorayard_schemas.snapshot import AskSnapshot, YardSnapshot
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.strike import Strike
from lorayard_schemas.tenant import TenantRecord
from lorayard_schemas.token_event import TokenEvent
from lorayard_schemas.trial import TrialRecord
from lorayard_schemas.validation import ValidateAdapter, ValidateReply


class Side(StrEnum):
    """What the yard does there, in AsyncAPI's words."""

    RECEIVE = "receive"
    SEND = "send"


class Plain(StrEnum):
    """What travels and is no message of ours."""

    NOTHING = "Nothing"
    """An empty body."""
    STORED = "Stored"
    """A stream's answer to a publish."""
    SERVICE_ERROR = "ServiceError"
    """An order that could not be followed; said in headers, with an empty body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One header of a message."""

    name: str
    meaning: str
    required: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A message with headers, under a name of its own."""

    name: str
    model: type[Message]
    headers: tuple[Header, ...]


Body = type[Message] | Plain | Carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One subject; where it has replies, what comes is a request."""

    name: str
    address: str
    summary: str
    side: Side
    bodies: tuple[Body, ...]
    replies: tuple[Body, ...] = ()
    kept: str = ""
    """The stream or the bucket that keeps what comes."""
    about: str = ""
    """How a message comes there, where that is not the usual way."""
    inside: bool = False
    """Between the parts of a yard: clients need none of it."""


PARAMETERS = {
    "lane": "How urgent: served in this order, each with a bound on its waiting.",
    "tenant": "Whose. Any name of 1 to 64 characters: lower-case letters, digits, `-`, `_` and `/` stay, "
    "every other byte of its UTF-8 form is percent-encoded in lower case.",
    "adapter": "`{org}/{model-family}/{task}`, with `@{version}` or `@{alias}` behind it or not; `base` for "
    "the base model; `_`: the yard chooses; `%2b` and its first part: a composition. Encoded as a tenant is.",
    "job": "The job's id: 1 to 64 of `A-Z a-z 0-9 _ -`.",
    "worker": "A worker's name, encoded as a tenant is.",
    "dispatcher": "A dispatcher's name, encoded as a tenant is.",
    "order": "What the worker shall do with the adapters.",
    "version": "A version of an adapter, encoded as a key.",
    "alias": "A word for versions.",
    "key": "One or more tokens of a bucket's key: as in subjects, with `=` for `%`.",
    "what": "Adapters, aliases, rules, classifier or strikes.",
    "number": "A version or a revision.",
    "object": "Name of an object in its store.",
}

_JOB_HEADERS = (
    Header(
        name=headers.MSG_ID,
        meaning="A second publish with the same value within two minutes is dropped, and confirmed as a "
        "duplicate. All tenants share it: put the tenant and the job into it.",
    ),
    Header(
        name=headers.BATCH_ID,
        meaning="All or none: the same in up to 1,000 messages, new for each try.",
    ),
    Header(
        name=headers.BATCH_SEQUENCE, meaning="Its place in the batch: 1, 2, 3 ...", pattern="^[1-9][0-9]*$"
    ),
    Header(name=headers.BATCH_COMMIT, meaning="On the last one, which alone is answered.", pattern="^1$"),
)
_SCHEDULE_HEADERS = (
    Header(
        name=headers.SCHEDULE,
        meaning="When: `@at` and a time in UTC. Nothing else is served.",
        required=True,
        pattern="^@at [0-9]{4}-[0-9]{2}-[0-9]{2}T",
    ),
    Header(
        name=headers.SCHEDULE_TARGET,
        meaning="The job's subject with `due` for `jobs`.",
        required=True,
        pattern=r"^yard\.due\.(urgent|high|normal|bulk)\.[^.]+\.[^.]+$",
    ),
    Header(
        name=headers.EXPECTED_LAST_SUBJECT_SEQUENCE,
        meaning="`0`: refuse it (10071) where one of the same job waits already; left out, it replaces that.",
    ),
)
_RETRY_HEADERS = (
    Header(
        name=headers.ATTEMPT, meaning="Which attempt this is; absent: the first.", pattern="^[1-9][0-9]{0,5}$"
    ),
    Header(name=headers.HISTORY, meaning="The failed attempts before it, a JSON array."),
    Header(
        name=headers.BOUND, meaning="Versions that aliases led it to: `name@alias=version`, space between."
    ),
    Header(name=headers.SNOOZED, meaning="How often this attempt was put off, and since when."),
)
_RESULT_HEADERS = (Header(name="Nats-Subject", meaning="Where it is stored: `yard.results.{tenant}.{job}`."),)
_EVENT_HEADERS = (
    Header(name="Nats-Subject", meaning="Where it is stored: `yard.tokens.{tenant}.{job}`."),
    Header(name="Nats-Sequence", meaning="Its place in the stream: go on behind.", pattern="^[1-9][0-9]*$"),
)

_SERVICE: tuple[Body, ...] = (Plain.SERVICE_ERROR,)
RECEIVE, SEND = Side.RECEIVE, Side.SEND

PUBLIC: tuple[Channel, ...] = (
    Channel(
        name="jobs",
        address="yard.jobs.{lane}.{tenant}.{adapter}",
        summary="Submit a job. From the answer on the yard is responsible for it.",
        side=RECEIVE,
        bodies=(Carried(name="NewJob", model=Job, headers=_JOB_HEADERS),),
        replies=(Plain.STORED,),
        kept="YARD_JOBS",
    ),
    Channel(
        name="delayed",
        address="yard.delayed.{tenant}.{job}",
        summary="Submit a job for later.",
        side=RECEIVE,
        bodies=(Carried(name="ScheduledJob", model=Job, headers=_SCHEDULE_HEADERS),),
        replies=(Plain.STORED,),
        kept="YARD_DELAYED",
    ),
    Channel(
        name="done",
        address="yard.done.{tenant}.{job}",
        summary="Hear results as they are stored; `*` for the job hears all of a tenant.",
        side=SEND,
        bodies=(Carried(name="HeardResult", model=JobResult, headers=_RESULT_HEADERS),),
        about="The server announces what it has stored in YARD_RESULTS. Who misses it fetches it there.",
    ),
    Channel(
        name="told",
        address="yard.told.{tenant}.{job}",
        summary="Hear the tokens and the progress of a job with `stream`, as they are stored.",
        side=SEND,
        bodies=(Carried(name="HeardEvent", model=TokenEvent, headers=_EVENT_HEADERS),),
        about="The server announces what it has stored in YARD_TOKENS. Who misses some reads it there.",
    ),
    Channel(
        name="tokens",
        address="yard.tokens.{tenant}.{job}",
        summary="Where these events are stored: what was missed is read by sequence.",
        side=SEND,
        bodies=(TokenEvent,),
        kept="YARD_TOKENS",
    ),
    Channel(
        name="storedResult",
        address="$JS.API.DIRECT.GET.YARD_RESULTS.yard.results.{tenant}.{job}",
        summary="Fetch a result. An answer with the header `Status: 404`: there is none (yet).",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(Carried(name="HeardResult", model=JobResult, headers=_RESULT_HEADERS),),
        about="The server itself answers, from YARD_RESULTS: no process of the yard has to live.",
    ),
    Channel(
        name="cancel",
        address="yard.dispatcher.cancel",
        summary="End a job, waiting or running.",
        side=RECEIVE,
        bodies=(CancelJob,),
        replies=(CancelReply, *_SERVICE),
    ),
    Channel(
        name="cancelMany",
        address="yard.dispatcher.cancel-many",
        summary="End many jobs of a tenant.",
        side=RECEIVE,
        bodies=(CancelMany,),
        replies=(CancelManyReply, *_SERVICE),
    ),
    Channel(
        name="explain",
        address="yard.dispatcher.explain",
        summary="Why a job waits. Every dispatcher answers, also one that does not have it.",
        side=RECEIVE,
        bodies=(ExplainJob,),
        replies=(JobExplanation, *_SERVICE),
    ),
    Channel(
        name="status",
        address="yard.dispatcher.status",
        summary="What a dispatcher does: parked jobs, counters, workers.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(DispatcherStatus, *_SERVICE),
    ),
    Channel(
        name="oneStatus",
        address="yard.dispatcher.{dispatcher}.status",
        summary="The same of one dispatcher.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(DispatcherStatus, *_SERVICE),
    ),
    Channel(
        name="dispatcherHealth",
        address="yard.dispatcher.{dispatcher}.health",
        summary="Whether a dispatcher does its work, and what keeps it from it.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(HealthReport, *_SERVICE),
    ),
    Channel(
        name="workerHealth",
        address="yard.worker.{worker}.control.health",
        summary="The same of a worker.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(HealthReport, *_SERVICE),
    ),
    Channel(
        name="place",
        address="yard.dispatcher.place",
        summary="Declare where an adapter shall be.",
        side=RECEIVE,
        bodies=(PlaceAdapter,),
        replies=(PlaceReply, *_SERVICE),
    ),
    Channel(
        name="placements",
        address="yard.dispatcher.placements",
        summary="Where adapters should be, and are.",
        side=RECEIVE,
        bodies=(AskPlacements,),
        replies=(PlacementReport, *_SERVICE),
    ),
    Channel(
        name="snapshot",
        address="yard.svc.snapshot",
        summary="The yard at one moment: queues, adapters, workers, holds, batches, and what is wrong.",
        side=RECEIVE,
        bodies=(AskSnapshot,),
        replies=(YardSnapshot, *_SERVICE),
        about="Gateways and exporters answer, one for each question. Fields at their defaults are left out, "
        "and where a message has no room for all rows the last of the longest list.",
    ),
    Channel(
        name="limits",
        address="yard.dispatcher.limits",
        summary="How much is used of limits.",
        side=RECEIVE,
        bodies=(AskLimits,),
        replies=(LimitsReport, *_SERVICE),
    ),
    Channel(
        name="door",
        address="yard.door.{tenant}",
        summary="Jobs of the tenant would surely be refused now, for a limit; or are taken again.",
        side=SEND,
        bodies=(ClosedDoor,),
    ),
    Channel(
        name="deadLetters",
        address="yard.dead.{tenant}.{adapter}.{job}",
        summary="Jobs that the yard gave up; read them from the stream.",
        side=SEND,
        bodies=(DeadLetter,),
        kept="YARD_DEAD",
    ),
    Channel(
        name="unreadable",
        address="yard.dead.{tenant}._",
        summary="Messages that are no job and name none.",
        side=SEND,
        bodies=(DeadLetter,),
        kept="YARD_DEAD",
    ),
)


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
    _audit("drains", "drain.{worker}", "A worker was freed for an adapter.", DrainRecord),
    _audit("prefetches", "prefetch.{worker}", "Adapters were fetched ahead.", PrefetchRecord),
    _audit("orders", "placement.{worker}", "An order about an adapter, and why.", PlacementRecord),
    _audit("changes", "registry.{what}.{key}.{number}", "Who changed what is registered.", RegistryChange),
)


def _inside(
    name: str, address: str, summary: str, body: type[Message], *replies: type[Message], side: Side = RECEIVE
) -> Channel:
    told: tuple[Body, ...] = (*replies, *_SERVICE) if replies else ()
    return Channel(
        name=name, address=address, summary=summary, side=side, bodies=(body,), replies=told, inside=True
    )


_CONTROL = "yard.worker.{worker}.control"
_PARKED = "yard.dispatcher.cancel-parked"
INSIDE: tuple[Channel, ...] = (
    Channel(
        name="due",
        address="yard.due.{lane}.{tenant}.{adapter}",
        summary="A job whose time has come; the server puts it there.",
        side=RECEIVE,
        bodies=(Carried(name="DueJob", model=Job, headers=_RETRY_HEADERS),),
        kept="YARD_DELAYED",
        inside=True,
    ),
    Channel(
        name="results",
        address="yard.results.{tenant}.{job}",
        summary="The one result of a job. A second one is refused, but heard here: listen on `done`.",
        side=SEND,
        bodies=(JobResult,),
        replies=(Plain.STORED,),
        kept="YARD_RESULTS",
        inside=True,
    ),
    _inside("assign", "yard.worker.{worker}.assign", "Jobs for a worker.", Assignment, AssignmentReply),
    _inside("workerCancel", f"{_CONTROL}.cancel", "End a job there.", CancelJob, CancelReply),
    _inside("workerCancelMany", f"{_CONTROL}.cancel-many", "End jobs.", CancelMany, CancelManyReply),
    _inside("giveBack", f"{_CONTROL}.give-back", "Return what has not begun.", GiveBack, GiveBackReply),
    _inside("validate", f"{_CONTROL}.validate", "Try a version.", ValidateAdapter, ValidateReply),
    _inside("adapterOrder", f"{_CONTROL}.{{order}}", "Load, pin, dedicate ...", AdapterOrder, OrderReply),
    _inside("cancelParked", _PARKED, "Who has it parked?", CancelJob, CancelReply),
    _inside("cancelManyParked", f"{_PARKED}-many", "Who has them parked?", CancelMany, CancelManyReply),
    _inside("crew", "yard.supervisor.workers", "More workers, or fewer.", ChangeCrew, CrewReply),
    _inside("limitGossip", "yard.limits", "What a dispatcher let in of limits.", LimitGossip, side=SEND),
    _inside("load", "yard.load.{dispatcher}", "What a worker holds now.", WorkerLoad, side=SEND),
    Channel(
        name="blobs",
        address="$O.yard_blobs.C.{object}",
        summary="Lists of the parts of a file; the parts lie beside them.",
        side=SEND,
        bodies=(BlobManifest,),
        kept="yard_blobs",
        inside=True,
    ),
    Channel(
        name="samples",
        address="$O.yard_payloads.C.{object}",
        summary="What traffic has taught; prompts and answers over 512 KiB lie beside it.",
        side=SEND,
        bodies=(TrafficSamples,),
        kept="yard_payloads",
        inside=True,
    ),
)

CHANNELS = (*PUBLIC, *BUCKETS, *AUDIT, *INSIDE)
