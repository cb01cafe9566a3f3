"""JSON Schema files for publishers in other languages, generated from the models and checked in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.api_key import ApiKeyRecord
from lorayard_schemas.assignment import (
    Assignment,
    AssignmentReply,
    CancelJob,
    CancelReply,
    WorkerLoad,
)
from lorayard_schemas.asyncapi import write_asyncapi
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
from lorayard_schemas.message import LEAST_WHOLE, WHOLE_END, Message
from lorayard_schemas.model_card import ModelCard
from lorayard_schemas.order import AdapterOrder, OrderReply
from lorayard_schemas.placement import (
    AskPlacements,
    PlaceAdapter,
    Placement,
    PlacementReport,
    PlaceReply,
)
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

MESSAGES: tuple[type[Message], ...] = (
    ActRecord,
    AdapterOrder,
    AdapterRecord,
    AliasRecord,
    ApiKeyRecord,
    AskLimits,
    AskPlacements,
    AskSnapshot,
    Assignment,
    AssignmentReply,
    BatchLease,
    BatchRecord,
    BlobManifest,
    CancelJob,
    CancelMany,
    CancelManyReply,
    CancelReply,
    ChangeCrew,
    ClosedDoor,
    CrewReply,
    DeadLetter,
    DecisionRecord,
    DispatcherAdvert,
    DispatcherStatus,
    DrainRecord,
    ExplainJob,
    FileRecord,
    GiveBack,
    GiveBackReply,
    HealthReport,
    InterruptionRecord,
    Job,
    JobExplanation,
    JobResult,
    LimitGossip,
    Limits,
    LimitsReport,
    ModelCard,
    Cap,
    OrderReply,
    OutcomesRecord,
    Pause,
    PlaceAdapter,
    PlaceReply,
    Placement,
    PlacementRecord,
    PlacementReport,
    PrefetchRecord,
    RegistryChange,
    ReturnRecord,
    RouteTable,
    Schedule,
    ScheduleState,
    SeatHolder,
    SemanticRecord,
    SessionRecord,
    Strike,
    TenantRecord,
    TokenEvent,
    TrafficSamples,
    TrialRecord,
    ValidateAdapter,
    ValidateReply,
    WorkerAdvert,
    WorkerEndRecord,
    WorkerLoad,
    YardSnapshot,
)

_BOUNDS = (("minimum", LEAST_WHOLE), ("exclusiveMaximum", WHOLE_END))


def schema_files() -> dict[str, str]:
    """File name -> content, for every message that travels."""
    return {f"{message.__name__}.json": _schema(message) for message in MESSAGES}


def write(folder: Path) -> None:
    """Write every file into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in schema_files().items():
        (folder / name).write_text(content, encoding="utf-8")


def _schema(message: type[Message]) -> str:
    # Bytes are msgpack binary; in JSON bodies they cannot stand as they are.
    schema = message.model_json_schema(mode="validation")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_plain_numbers(schema)}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _plain_numbers(schema: Any) -> Any:
    """Without the bounds that every whole number has."""
    if isinstance(schema, list):
        return [_plain_numbers(each) for each in schema]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return schema
    return {  # pyright: ignore[reportUnknownVariableType]
        key: _plain_numbers(value)
        for key, value in schema.items()  # pyright: ignore[reportUnknownVariableType]
        if (key, value) not in _BOUNDS
    }


if __name__ == "__main__":
    SCHEMAS = Path(__file__).parent.parent
    write(SCHEMAS / "json")
    write_asyncapi(SCHEMAS)
