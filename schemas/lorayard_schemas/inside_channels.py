"""The subjects between the parts of a yard: clients need none of them."""

from __future__ import annotations

from lorayard_schemas import headers
from lorayard_schemas.assignment import Assignment, AssignmentReply, CancelJob, CancelReply, WorkerLoad
from lorayard_schemas.blob import BlobManifest
from lorayard_schemas.cancel_many import CancelMany, CancelManyReply
from lorayard_schemas.channel import RECEIVE, SEND, SERVICE, Body, Carried, Channel, Header, Plain, Side
from lorayard_schemas.crew import ChangeCrew, CrewReply
from lorayard_schemas.explanation import ExplainJob, JobExplanation
from lorayard_schemas.give_back import GiveBack, GiveBackReply
from lorayard_schemas.job import Job
from lorayard_schemas.limit import AskLimits, LimitGossip, LimitsReport
from lorayard_schemas.message import Message
from lorayard_schemas.order import AdapterOrder, OrderReply
from lorayard_schemas.result import JobResult
from lorayard_schemas.samples import TrafficSamples
from lorayard_schemas.validation import ValidateAdapter, ValidateReply

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


def _inside(
    name: str, address: str, summary: str, body: type[Message], *replies: type[Message], side: Side = RECEIVE
) -> Channel:
    told: tuple[Body, ...] = (*replies, *SERVICE) if replies else ()
    return Channel(
        name=name, address=address, summary=summary, side=side, bodies=(body,), replies=told, inside=True
    )


_CONTROL = "yard.worker.{worker}.control"
_PARKED = "yard.dispatcher.cancel-parked"
_OWN = "yard.own.{tenant}"


def _own(name: str, address: str, summary: str) -> Channel:
    return Channel(
        name=name,
        address=f"{_OWN}.{address}",
        summary=summary,
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(Plain.NOTHING,),
        about="The server puts there what a tenant in an account of its own asks on JetStream's own ones.",
        inside=True,
    )


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
    _inside("ownCancel", f"{_OWN}.ask.cancel", "End a tenant's own job.", CancelJob, CancelReply),
    _inside("ownCancelMany", f"{_OWN}.ask.cancel-many", "End its jobs.", CancelMany, CancelManyReply),
    _inside("ownExplain", f"{_OWN}.ask.explain", "Why its job waits.", ExplainJob, JobExplanation),
    _inside("ownLimits", f"{_OWN}.ask.limits", "How much it uses of limits.", AskLimits, LimitsReport),
    _own("ownGet", "get.{stream}", "Read the tenant's own messages of a stream."),
    _own("ownInfo", "info.{stream}", "How full a stream is."),
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
