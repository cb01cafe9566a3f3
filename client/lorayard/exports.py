"""Where each public name of the client lives, for `lorayard.__getattr__`.

Errors are not listed: what is public and not here stands in `lorayard.errors`. Type checkers read the same
from the imports in `lorayard/__init__.py`; a test compares the two.
"""

from __future__ import annotations

_NAMES = {
    "lorayard.cancel_many": "CancelQuery CancelReport",
    "lorayard.client": "Client",
    "lorayard.composition": "Composition",
    "lorayard.control": "Control Controls Running",
    "lorayard.dead.letter": "DeadQuery Letter",
    "lorayard.dead.letter_page": "LetterPage",
    "lorayard.dead.letters": "DeadLetters",
    "lorayard.dead.redriving": "Redriven RedriveOutcome",
    "lorayard.deadlines": "deadline",
    "lorayard.handle": "JobHandle",
    "lorayard.job_lists": "EndedJob Jobs QueuedJob",
    "lorayard.job_status": "JobPlace JobStatus",
    "lorayard.mapping": "MapItem",
    "lorayard.registry.adapters": "Adapters PushReport",
    "lorayard.registry.aliases": "Aliases SwitchReport",
    "lorayard.registry.comparing": "AdapterDiff",
    "lorayard.registry.keys": "Keys NewKey",
    "lorayard.registry.limits": "AdmissionLimits LimitsChange",
    "lorayard.registry.removal": "RemovalReport",
    "lorayard.registry.repairing": "RepairReport",
    "lorayard.registry.rules": "Rules",
    "lorayard.registry.schedules": "Schedules ScheduleView",
    "lorayard.registry.strikes": "StrikeReport Strikes",
    "lorayard.registry.verifying": "ClassifierCheck FileCheck VersionCheck",
    "lorayard.request": "GenerateRequest RequestOptions",
    "lorayard.result": "Result",
    "lorayard.scheduled": "ScheduledJob",
    "lorayard.settings": "ClientSettings",
    "lorayard.streaming.events": "JobEvent",
    "lorayard.submit_report": "SubmitReport",
    "lorayard.sync_client": "SyncClient",
    "lorayard.sync_handle": "SyncJobHandle",
    "lorayard.waiting": "ReturnWhen WaitReport",
    "lorayard.yard_view": "QueueDepth",
    "lorayard_schemas.adapter": "AdapterRecord AdapterState",
    "lorayard_schemas.alias": "AliasRecord Arm GuardRule Sticky",
    "lorayard_schemas.assignment": "CancelOutcome",
    "lorayard_schemas.attempt": "AttemptRecord",
    "lorayard_schemas.composition": "AppliedComposition AppliedPart CompositionPolicy MajoritySign",
    "lorayard_schemas.control": "Cap Controlled Pause",
    "lorayard_schemas.explanation": "WaitReason",
    "lorayard_schemas.job": "ChatTurn Lane",
    "lorayard_schemas.limit": "Limits",
    "lorayard_schemas.placement": "AdapterTier Placement",
    "lorayard_schemas.result": "ErrorKind ResultState TokenLogprob",
    "lorayard_schemas.retry": "Retry",
    "lorayard_schemas.routes": "Match RouteRule RouteTable Stage",
    "lorayard_schemas.schedule": "CatchUp Overlap Schedule ScheduledRun ScheduleState",
    "lorayard_schemas.snapshot": "SnapshotPart Trouble TroubleLevel YardSnapshot",
    "lorayard_schemas.strike": "Strike",
    "lorayard_schemas.token_event": "EventKind",
    "lorayard_shared.jobs.tracing": "Step Trace",
    "lorayard.version": "__version__",
}

HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
"""The module of each name."""
