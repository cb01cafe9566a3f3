"""One of every message that travels, for tests of all kinds of them."""

from __future__ import annotations

from lorayard_schemas.adapter import (
    AdapterRecipe,
    AdapterRecord,
    AdapterRefusal,
    RecipePart,
    StoredFile,
)
from lorayard_schemas.advert import RefusedAdapter, SlotAdvert, WorkerAdvert
from lorayard_schemas.alias import AliasRecord, Arm, GuardRule
from lorayard_schemas.api_key import ApiKeyRecord
from lorayard_schemas.assignment import (
    AdapterRef,
    AssignedJob,
    Assignment,
    AssignmentReply,
    CancelJob,
    CancelOutcome,
    CancelReply,
    Refusal,
    RefusalReason,
    WorkerLoad,
)
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import (
    ActRecord,
    DecisionRecord,
    DrainRecord,
    JobEnd,
    OutcomesRecord,
    PlacementRecord,
    PrefetchRecord,
    RegistryChange,
    ReturnRecord,
    WorkerEnd,
    WorkerEndRecord,
)
from lorayard_schemas.batch_record import BatchLease, BatchRecord, BatchStatus, Ending, LineCounts, LineError
from lorayard_schemas.blob import BlobManifest
from lorayard_schemas.cancel_many import CancelMany, CancelManyReply, MeantJob, Place, SeenAt
from lorayard_schemas.composition import Composition, CompositionPart, CompositionPolicy
from lorayard_schemas.control import Cap, Controlled, Pause
from lorayard_schemas.crew import ChangeCrew, CrewReply
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason, Whereabouts
from lorayard_schemas.file_record import FilePurpose, FileRecord
from lorayard_schemas.give_back import AliasLead, GiveBack, GiveBackReply
from lorayard_schemas.health import HealthReport
from lorayard_schemas.interruption import Interruption, InterruptionRecord
from lorayard_schemas.job import ChatTurn, Job, PayloadRef
from lorayard_schemas.limit import (
    AskLimits,
    ClosedDoor,
    LimitGossip,
    Limits,
    LimitsInUse,
    LimitsReport,
    LimitUse,
    Measure,
    Rate,
    ReachedLimit,
    SpentHere,
)
from lorayard_schemas.message import Message
from lorayard_schemas.model_card import ModelCard
from lorayard_schemas.order import AdapterOrder, OrderAnswer, OrderOutcome, OrderReply
from lorayard_schemas.placement import (
    AdapterTier,
    AskPlacements,
    PlaceAdapter,
    PlacedAdapter,
    Placement,
    PlacementReport,
    PlaceRefusal,
    PlaceReply,
)
from lorayard_schemas.result import ErrorKind, JobResult, Maker, ResultError, ResultState
from lorayard_schemas.retry import Retry
from lorayard_schemas.routes import Match, RouteRule, RouteTable
from lorayard_schemas.samples import TrafficSamples
from lorayard_schemas.schedule import Ahead, Schedule, ScheduledRun, ScheduleState
from lorayard_schemas.seat import DispatcherAdvert, SeatHolder
from lorayard_schemas.semantic import SemanticRecord
from lorayard_schemas.session import SessionRecord
from lorayard_schemas.snapshot import AskSnapshot, Overview, YardSnapshot
from lorayard_schemas.status import DispatcherStatus, ParkedGroup
from lorayard_schemas.strike import Strike
from lorayard_schemas.tenant import TenantRecord
from lorayard_schemas.token_event import EventKind, TokenEvent
from lorayard_schemas.trial import RateState, TrialRecord, TriedState
from lorayard_schemas.validation import ValidateAdapter, ValidateReply, Verdict

DIGEST = "sha256:" + "ab" * 32
LOAD = WorkerLoad(worker="w", epoch=1, number=2, seen={"d": 3}, room=4, holding=("YARD_JOBS-1",))
PLACEMENT = Placement(
    adapter="a/b/c", tier=AdapterTier.SHARED, replicas_min=1, replicas_max=2, on=("w1",), only=True, pin=True
)
REF = PayloadRef(key="k", sha256="0" * 64, size_bytes=1)

SAMPLES: tuple[Message, ...] = (
    AdapterOrder(digests=(DIGEST,)),
    OrderReply(
        worker="w",
        epoch=1,
        sequence=2,
        answers=(OrderAnswer(digest=DIGEST, outcome=OrderOutcome.NO_ROOM, detail="d"),),
    ),
    AdapterRecord(
        name="a/b/c",
        version="1",
        digest=DIGEST,
        base_digest=DIGEST,
        rank=8,
        columns=8,
        alpha=16,
        targets=("q_proj",),
        size_bytes=9,
        files=(StoredFile(name="adapter_config.json", sha256="0" * 64, size_bytes=9),),
        labels={"task": "summary"},
        tenants=("t",),
        recipe=AdapterRecipe(
            parts=(RecipePart(name="a/b/d", version="2", digest=DIGEST, weight=0.5),), policy="cat"
        ),
        refusal=AdapterRefusal(reason="r", module="m", worker="w", at=1.0),
    ),
    Assignment(
        dispatcher="d",
        worker="w",
        epoch=1,
        number=1,
        load_subject="yard.load.d",
        jobs=(
            AssignedJob(
                key="YARD_JOBS-1",
                lease="$JS.ACK",
                subject="s",
                body=b"{}",
                adapter=AdapterRef(name="a/b/c", version="1", digest=DIGEST),
            ),
        ),
    ),
    AssignmentReply(refusals=(Refusal(key="k", reason=RefusalReason.NO_ROOM),), load=LOAD),
    BlobManifest(sha256="0" * 64, size_bytes=2048, part_bytes=1024, parts=("1" * 64, "2" * 64)),
    CancelJob(tenant="t", job="j"),
    CancelReply(outcome=CancelOutcome.FINISHED),
    CancelMany(
        tenant="t", jobs=(MeantJob(job="j", seen=SeenAt(place=Place.DUE, sequence=7)), MeantJob(job="k"))
    ),
    CancelManyReply(outcomes={"j": CancelOutcome.CANCELLED}),
    ChangeCrew(add=1, remove=("w1",)),
    CrewReply(added=("w3",), removing=("w1",), workers=("w2", "w3")),
    DeadLetter(
        subject="s",
        sequence=1,
        code="c",
        reason="r",
        body=b"x",
        at=1.0,
        attempts=(AttemptRecord(attempt=1, worker="w", code="c", message="m", at=1.0),),
    ),
    DecisionRecord(
        at=1.0,
        dispatcher="d",
        plan=1,
        job="j",
        tenant="t",
        lane="normal",
        adapter=AdapterRef(name="a/b/c", version="1", digest=DIGEST),
        rule="explicit",
        phase="warm",
        source="slot",
        worker="w",
    ),
    ReturnRecord(at=1.0, dispatcher="d", job="j", tenant="t", worker="w", reason="no_room"),
    WorkerEndRecord(at=1.0, worker="w", end=WorkerEnd.HUNG, reason="r", stacks="s", jobs=("j",)),
    OutcomesRecord(
        at=1.0, by="w", jobs=(JobEnd(job="j", tenant="t", state="failed", digest=DIGEST, code="c"),)
    ),
    ActRecord(at=1.0, actor="ana@laptop", verb="cancel", tenant="t", job="j", about="cancelled"),
    DrainRecord(at=1.0, dispatcher="d", plan=1, worker="w", adapter="a/b/c@1", for_adapter="a/b/d@1"),
    PlacementRecord(
        at=1.0, dispatcher="d", plan=0, worker="w", adapter="a/b/c@1", order="load", because="it belongs here"
    ),
    PLACEMENT,
    PlaceAdapter(adapter="a/b/c", pin=True, on=("w1", "zone=a")),
    PlaceReply(placement=PLACEMENT, refusal=PlaceRefusal(field="pin", reason="r"), warnings=("x",)),
    AskPlacements(adapter="a/b/c"),
    PlacementReport(
        dispatcher="d",
        adapters=(PlacedAdapter(adapter="a/b/c@1", tier=AdapterTier.SHARED, declared=PLACEMENT),),
    ),
    PrefetchRecord(at=1.0, dispatcher="d", plan=1, worker="w", adapter="a/b/c@1"),
    ExplainJob(tenant="t", job="j"),
    GiveBack(keys=("J-1",), aliases=(AliasLead(name="a/b/c@stable", revision=2, versions=("1",)),)),
    GiveBackReply(asked=1),
    JobExplanation(dispatcher="d", where=Whereabouts.PARKED, reason=WaitReason.NO_WORKER),
    DispatcherStatus(dispatcher="d", started_at=1.0, parked=(ParkedGroup(adapter="base", jobs=1),)),
    Job(
        id="j",
        messages=(ChatTurn(role="user", content="x"),),
        deadline=1.0,
        composition=Composition(policy=CompositionPolicy.CAT, parts=(CompositionPart(adapter="a/b/c"),)),
    ),
    JobResult(
        job="j",
        tenant="t",
        state=ResultState.FAILED,
        text_ref=REF,
        error=ResultError(kind=ErrorKind.POISON, code="c", message="m"),
        maker=Maker(worker="w", digest=DIGEST),
    ),
    DispatcherAdvert(dispatcher="d", started_at=1.0, seats=(0, 1), pid=2),
    Schedule(
        name="digest",
        tenant="acme",
        cron="0 7 * * 1-5",
        tz="Europe/Zurich",
        job=Job(id="digest", prompt="x"),
        deadline_seconds=60.0,
        start=1.0,
        end=2.0,
    ),
    ScheduleState(
        name="digest",
        tenant="acme",
        ahead=Ahead(at=1.0, due=2.0, revision=1),
        runs=(ScheduledRun(job="digest-20261123T120000Z", at=1.0, state=ResultState.SUCCEEDED),),
    ),
    SeatHolder(dispatcher="d", started_at=1.0, since=2.0),
    RegistryChange(
        at=1.0,
        actor="ana@laptop",
        verb="activate",
        what="adapters",
        key="a/b/c@1",
        revision=3,
        digest=DIGEST,
        before="validated",
        after="active",
        reason="r",
    ),
    AliasRecord(
        adapter="a/b/c",
        alias="stable",
        revision=2,
        arms=(Arm(version="v1", weight=90.0), Arm(version="v2", weight=10.0)),
        control="v1",
        guard=GuardRule(),
    ),
    RouteTable(rules=(RouteRule(name="r", task=Match(prefix="sum"), adapter="a/b/c@stable"),)),
    TokenEvent(job="j", kind=EventKind.TOKENS, worker="w", attempt=1, text="é", tokens=1),
    TrafficSamples(encoder=DIGEST, dimensions=4),
    ModelCard(
        base_digest=DIGEST,
        model="m",
        tokenizer=StoredFile(name="tokenizer.json", sha256="0" * 64, size_bytes=1),
    ),
    SemanticRecord(
        artifact=DIGEST,
        files=(StoredFile(name="head.safetensors", sha256="0" * 64, size_bytes=1),),
        labels=("a/b/c@stable", "base"),
        encoder="base-table",
        encoder_digest=DIGEST,
    ),
    InterruptionRecord(
        tenant="t", job="j", deaths=(Interruption(delivery=1, worker="w", at=1.0, alone=True),)
    ),
    TenantRecord(tenant="t", retry=Retry(max_attempts=2)),
    AskLimits(tenant="t"),
    ClosedDoor(limit=ReachedLimit(name="requests_rate", tenant="t", value=2.0, per_seconds=1.0), seconds=0.5),
    LimitGossip(
        dispatcher="d",
        started_at=1.0,
        gates={"limit.a=t._": SpentHere(spent=(1.0, 2.0, 3.0), pending=(1.0, 0.0, 0.0))},
    ),
    Limits(
        tenant="t",
        rates={Measure.REQUESTS: Rate(amount=2.0, burst=4.0)},
        per_day={Measure.TOKENS: 1000.0},
        max_pending={Measure.REQUESTS: 9.0},
    ),
    LimitsReport(
        dispatcher="d",
        limits=(LimitsInUse(tenant="t", uses=(LimitUse(name="max_pending", value=9.0, used=1.0),)),),
    ),
    Strike(adapter="a/b/c@1", tenant="t", why="w"),
    BatchRecord(
        id="batch_" + "0" * 26,
        tenant="t",
        input_file_id="file-" + "0" * 26,
        endpoint="/v1/completions",
        metadata={"a": "b"},
        counts=LineCounts(total=2, failed=1),
        errors=(LineError(code="invalid_url", message="m", line=2),),
        ending=Ending(status=BatchStatus.COMPLETED),
        created_at=1.0,
        expires_at=2.0,
    ),
    BatchLease(batch="batch_" + "0" * 26, holder="g"),
    FileRecord(
        id="file-" + "0" * 26,
        tenant="t",
        name="in.jsonl",
        purpose=FilePurpose.BATCH,
        size_bytes=3,
        part_bytes=2,
        parts=("0" * 64, "1" * 64),
        writing="0" * 16,
        created_at=1.0,
        expires_at=2.0,
    ),
    ApiKeyRecord(id="0123456789ab", tenant="t", sha256="0" * 64, note="the web shop", expires_at=9.0),
    Pause(kind=Controlled.LANE, name="bulk", why="w"),
    Cap(kind=Controlled.TENANT, name="t", why="w", most=2),
    TrialRecord(
        adapter="a/b/c",
        alias="stable",
        revision=2,
        tried=(TriedState(version="2", failures=RateState(), slow=RateState()),),
    ),
    ValidateAdapter(name="a/b/c", version="1", digest=DIGEST, actor="ana@laptop"),
    ValidateReply(worker="w", verdict=Verdict.REFUSED, reason="r", module="m"),
    SessionRecord(tenant="t", session="s", chosen_at=1.0, worker="w", tokens=2.0, at=3.0),
    WorkerAdvert(
        worker="w",
        epoch=1,
        sequence=1,
        at=1.0,
        engine="E",
        model="m",
        base_digest=DIGEST,
        context_tokens=1,
        slots=(SlotAdvert(digest=DIGEST),),
        refused_adapters=(RefusedAdapter(name="a/b/c", version="1", reason="no weights"),),
        load=LOAD,
    ),
    LOAD,
    AskSnapshot(),
    HealthReport(process="d1", ready=False, missing=("the bus is away",)),
    YardSnapshot(
        prefix="yard",
        url="nats://127.0.0.1:4222",
        release="0.1.0",
        sequence=1,
        at=1.0,
        took_ms=2.0,
        overview=Overview(unfinished=1, delayed=0),
    ),
)
