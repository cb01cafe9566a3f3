"""The Python client of a yard: submit prompts with the adapter that shall answer, and await the results.

Names are imported at their first use: a service that publishes jobs pays for no registry and no schedules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lorayard.exports import HOMES

if TYPE_CHECKING:
    from lorayard.cancel_many import CancelQuery, CancelReport
    from lorayard.client import Client
    from lorayard.composition import Composition
    from lorayard.control import Control, Controls, Running
    from lorayard.dead.letter import DeadQuery, Letter
    from lorayard.dead.letter_page import LetterPage
    from lorayard.dead.letters import DeadLetters
    from lorayard.dead.redriving import Redriven, RedriveOutcome
    from lorayard.deadlines import deadline
    from lorayard.errors import (
        AdapterRefusedError,
        AliasRefusedError,
        BusRefusedError,
        BusUnavailableError,
        ChangeUnconfirmedError,
        ClientClosedError,
        ContendedError,
        DeadlinePassedError,
        DrainTimeoutError,
        ExtraMissingError,
        FileMissingError,
        IdempotencyConflictError,
        InvalidRequestError,
        JobCancelledError,
        JobError,
        JobExpiredError,
        JobFailedError,
        JobTimeoutError,
        KeyUnknownError,
        LabelUnknownError,
        LetterUnknownError,
        LimitReachedError,
        LimitsUnknownError,
        LorayardError,
        NoClassifierError,
        NoDispatcherError,
        NotPreloadedError,
        NotSentError,
        NotValidatedError,
        PauseUnknownError,
        PayloadTooLargeError,
        ReferencedError,
        ResultTextMissingError,
        RuleFileError,
        RuleRevisionError,
        ScheduleUnknownError,
        SettingsError,
        StoreFullError,
        StreamRestartedError,
        StrikeUnknownError,
        SubmitUnconfirmedError,
        TransitionError,
        UnreadableRecordError,
        VersionNamedError,
        VersionTakenError,
        VersionUnknownError,
        YardFullError,
        YardNotReadyError,
        YardRefusedError,
    )
    from lorayard.handle import JobHandle
    from lorayard.job_lists import EndedJob, Jobs, QueuedJob
    from lorayard.job_status import JobPlace, JobStatus
    from lorayard.mapping import MapItem
    from lorayard.registry.adapters import Adapters, PushReport
    from lorayard.registry.aliases import Aliases, SwitchReport
    from lorayard.registry.comparing import AdapterDiff
    from lorayard.registry.keys import Keys, NewKey
    from lorayard.registry.limits import AdmissionLimits, LimitsChange
    from lorayard.registry.removal import RemovalReport
    from lorayard.registry.repairing import RepairReport
    from lorayard.registry.rules import Rules
    from lorayard.registry.schedules import Schedules, ScheduleView
    from lorayard.registry.strikes import StrikeReport, Strikes
    from lorayard.registry.verifying import ClassifierCheck, FileCheck, VersionCheck
    from lorayard.request import GenerateRequest, RequestOptions
    from lorayard.result import Result
    from lorayard.scheduled import ScheduledJob
    from lorayard.settings import ClientSettings
    from lorayard.streaming.events import JobEvent
    from lorayard.submit_report import SubmitReport
    from lorayard.sync_client import SyncClient
    from lorayard.sync_handle import SyncJobHandle
    from lorayard.waiting import ReturnWhen, WaitReport
    from lorayard.yard_view import QueueDepth
    from lorayard_schemas.adapter import AdapterRecord, AdapterState
    from lorayard_schemas.alias import AliasRecord, Arm, GuardRule, Sticky
    from lorayard_schemas.assignment import CancelOutcome
    from lorayard_schemas.attempt import AttemptRecord
    from lorayard_schemas.composition import AppliedComposition, AppliedPart, CompositionPolicy, MajoritySign
    from lorayard_schemas.control import Cap, Controlled, Pause
    from lorayard_schemas.explanation import WaitReason
    from lorayard_schemas.job import ChatTurn, Lane
    from lorayard_schemas.limit import Limits
    from lorayard_schemas.placement import AdapterTier, Placement
    from lorayard_schemas.result import ErrorKind, ResultState, TokenLogprob
    from lorayard_schemas.retry import Retry
    from lorayard_schemas.routes import Match, RouteRule, RouteTable, Stage
    from lorayard_schemas.schedule import CatchUp, Overlap, Schedule, ScheduledRun, ScheduleState
    from lorayard_schemas.snapshot import SnapshotPart, Trouble, TroubleLevel, YardSnapshot
    from lorayard_schemas.strike import Strike
    from lorayard_schemas.token_event import EventKind
    from lorayard_shared.jobs.tracing import Step, Trace

    __version__: str

else:  # not for type checkers: a name that is not there shall stay an error

    def __getattr__(name: str) -> object:
        """A public name, from its home; from then on it is an attribute like any other."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(import_module(HOMES.get(name, "lorayard.errors")), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "AdapterDiff",
    "AdapterRecord",
    "AdapterRefusedError",
    "AdapterState",
    "AdapterTier",
    "Adapters",
    "AdmissionLimits",
    "AliasRecord",
    "AliasRefusedError",
    "Aliases",
    "AppliedComposition",
    "AppliedPart",
    "Arm",
    "AttemptRecord",
    "BusRefusedError",
    "BusUnavailableError",
    "CancelOutcome",
    "CancelQuery",
    "CancelReport",
    "Cap",
    "CatchUp",
    "ChangeUnconfirmedError",
    "ChatTurn",
    "ClassifierCheck",
    "Client",
    "ClientClosedError",
    "ClientSettings",
    "Composition",
    "CompositionPolicy",
    "ContendedError",
    "Control",
    "Controlled",
    "Controls",
    "DeadLetters",
    "DeadQuery",
    "DeadlinePassedError",
    "DrainTimeoutError",
    "EndedJob",
    "ErrorKind",
    "EventKind",
    "ExtraMissingError",
    "FileCheck",
    "FileMissingError",
    "GenerateRequest",
    "GuardRule",
    "IdempotencyConflictError",
    "InvalidRequestError",
    "JobCancelledError",
    "JobError",
    "JobEvent",
    "JobExpiredError",
    "JobFailedError",
    "JobHandle",
    "JobPlace",
    "JobStatus",
    "JobTimeoutError",
    "Jobs",
    "KeyUnknownError",
    "Keys",
    "LabelUnknownError",
    "Lane",
    "Letter",
    "LetterPage",
    "LetterUnknownError",
    "LimitReachedError",
    "Limits",
    "LimitsChange",
    "LimitsUnknownError",
    "LorayardError",
    "MajoritySign",
    "MapItem",
    "Match",
    "NewKey",
    "NoClassifierError",
    "NoDispatcherError",
    "NotPreloadedError",
    "NotSentError",
    "NotValidatedError",
    "Overlap",
    "Pause",
    "PauseUnknownError",
    "PayloadTooLargeError",
    "Placement",
    "PushReport",
    "QueueDepth",
    "QueuedJob",
    "RedriveOutcome",
    "Redriven",
    "ReferencedError",
    "RemovalReport",
    "RepairReport",
    "RequestOptions",
    "Result",
    "ResultState",
    "ResultTextMissingError",
    "Retry",
    "ReturnWhen",
    "RouteRule",
    "RouteTable",
    "RuleFileError",
    "RuleRevisionError",
    "Rules",
    "Running",
    "Schedule",
    "ScheduleState",
    "ScheduleUnknownError",
    "ScheduleView",
    "ScheduledJob",
    "ScheduledRun",
    "Schedules",
    "SettingsError",
    "SnapshotPart",
    "Stage",
    "Step",
    "Sticky",
    "StoreFullError",
    "StreamRestartedError",
    "Strike",
    "StrikeReport",
    "StrikeUnknownError",
    "Strikes",
    "SubmitReport",
    "SubmitUnconfirmedError",
    "SwitchReport",
    "SyncClient",
    "SyncJobHandle",
    "TokenLogprob",
    "Trace",
    "TransitionError",
    "Trouble",
    "TroubleLevel",
    "UnreadableRecordError",
    "VersionCheck",
    "VersionNamedError",
    "VersionTakenError",
    "VersionUnknownError",
    "WaitReason",
    "WaitReport",
    "YardFullError",
    "YardNotReadyError",
    "YardRefusedError",
    "YardSnapshot",
    "__version__",
    "deadline",
]
