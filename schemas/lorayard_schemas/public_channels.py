"""The subjects that clients speak and listen on; `channels` has all of them."""

from __future__ import annotations

from lorayard_schemas import headers
from lorayard_schemas.assignment import CancelJob, CancelReply
from lorayard_schemas.cancel_many import CancelMany, CancelManyReply
from lorayard_schemas.channel import RECEIVE, SEND, SERVICE, Carried, Channel, Header, Plain
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.explanation import ExplainJob, JobExplanation
from lorayard_schemas.health import HealthReport
from lorayard_schemas.job import Job
from lorayard_schemas.limit import AskLimits, ClosedDoor, LimitsReport
from lorayard_schemas.placement import AskPlacements, PlaceAdapter, PlacementReport, PlaceReply
from lorayard_schemas.result import JobResult
from lorayard_schemas.snapshot import AskSnapshot, YardSnapshot
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.token_event import TokenEvent

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
_RESULT_HEADERS = (Header(name="Nats-Subject", meaning="Where it is stored: `yard.results.{tenant}.{job}`."),)
_EVENT_HEADERS = (
    Header(name="Nats-Subject", meaning="Where it is stored: `yard.tokens.{tenant}.{job}`."),
    Header(name="Nats-Sequence", meaning="Its place in the stream: go on behind.", pattern="^[1-9][0-9]*$"),
)

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
        replies=(CancelReply, *SERVICE),
    ),
    Channel(
        name="cancelMany",
        address="yard.dispatcher.cancel-many",
        summary="End many jobs of a tenant.",
        side=RECEIVE,
        bodies=(CancelMany,),
        replies=(CancelManyReply, *SERVICE),
    ),
    Channel(
        name="explain",
        address="yard.dispatcher.explain",
        summary="Why a job waits. Every dispatcher answers, also one that does not have it.",
        side=RECEIVE,
        bodies=(ExplainJob,),
        replies=(JobExplanation, *SERVICE),
    ),
    Channel(
        name="status",
        address="yard.dispatcher.status",
        summary="What a dispatcher does: parked jobs, counters, workers.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(DispatcherStatus, *SERVICE),
    ),
    Channel(
        name="oneStatus",
        address="yard.dispatcher.{dispatcher}.status",
        summary="The same of one dispatcher.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(DispatcherStatus, *SERVICE),
    ),
    Channel(
        name="dispatcherHealth",
        address="yard.dispatcher.{dispatcher}.health",
        summary="Whether a dispatcher does its work, and what keeps it from it.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(HealthReport, *SERVICE),
    ),
    Channel(
        name="workerHealth",
        address="yard.worker.{worker}.control.health",
        summary="The same of a worker.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(HealthReport, *SERVICE),
    ),
    Channel(
        name="hostHealth",
        address="yard.svc.health",
        summary="The same of gateways, exporters and `lorayard up`: each answers.",
        side=RECEIVE,
        bodies=(Plain.NOTHING,),
        replies=(HealthReport, *SERVICE),
        about="Whether it hears; whether requests would be answered is at a gateway's `/readyz`. One that "
        "ends tells those who have asked lately, with `leaving`.",
    ),
    Channel(
        name="place",
        address="yard.dispatcher.place",
        summary="Declare where an adapter shall be.",
        side=RECEIVE,
        bodies=(PlaceAdapter,),
        replies=(PlaceReply, *SERVICE),
    ),
    Channel(
        name="placements",
        address="yard.dispatcher.placements",
        summary="Where adapters should be, and are.",
        side=RECEIVE,
        bodies=(AskPlacements,),
        replies=(PlacementReport, *SERVICE),
    ),
    Channel(
        name="snapshot",
        address="yard.svc.snapshot",
        summary="The yard at one moment: queues, adapters, workers, holds, batches, and what is wrong.",
        side=RECEIVE,
        bodies=(AskSnapshot,),
        replies=(YardSnapshot, *SERVICE),
        about="Gateways and exporters answer, one for each question. Fields at their defaults are left out, "
        "and where a message has no room for all rows the last of the longest list.",
    ),
    Channel(
        name="limits",
        address="yard.dispatcher.limits",
        summary="How much is used of limits.",
        side=RECEIVE,
        bodies=(AskLimits,),
        replies=(LimitsReport, *SERVICE),
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
