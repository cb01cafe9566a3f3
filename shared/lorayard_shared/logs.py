"""How the yard's own processes log: structlog, one JSON object or one line each, to standard error.

Event names are past-tense and listed here; ids are bound once per logger. Never called
by the client: it lives in other people's services.
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    import structlog  # with all that it brings: for processes that log, not for services that publish a job

LevelName = Literal["debug", "info", "warning", "error"]
"""What a command line may ask for."""


class Event(StrEnum):
    """Everything a process of the yard may log."""

    ADAPTER_CONFLICTED = "adapter_conflicted"
    ADAPTER_DERIVED = "adapter_derived"
    ADAPTER_EVICTED_FROM_DISK = "adapter_evicted_from_disk"
    ADAPTER_JUDGED = "adapter_judged"
    ADAPTER_LOADED = "adapter_loaded"
    ADAPTER_LOAD_FAILED = "adapter_load_failed"
    ADAPTER_MERGE_FAILED = "adapter_merge_failed"
    ADAPTER_NOT_FETCHED = "adapter_not_fetched"
    ADAPTER_NOT_JUDGED = "adapter_not_judged"
    ADAPTER_NOT_KEPT = "adapter_not_kept"
    ADAPTER_NOT_PLACED = "adapter_not_placed"
    ADAPTER_NOT_REMOVED = "adapter_not_removed"
    ADAPTER_PULLED = "adapter_pulled"
    ADAPTER_REFUSED = "adapter_refused"
    ADAPTER_REGISTERED = "adapter_registered"
    ADAPTER_UNLOADED = "adapter_unloaded"
    ADAPTER_WITHDRAWN = "adapter_withdrawn"
    ASSIGNMENT_LOST = "assignment_lost"
    ASSIGNMENT_REFUSED = "assignment_refused"
    AUDIT_LOST = "audit_lost"
    BASE_DIGEST_NOT_REMEMBERED = "base_digest_not_remembered"
    BATCH_ENDED = "batch_ended"
    BATCH_STOPPED = "batch_stopped"
    BATCH_TAKEN = "batch_taken"
    BUS_DISCONNECTED = "bus_disconnected"
    BUS_DRIFTED = "bus_drifted"
    BUS_FAILED = "bus_failed"
    BUS_RECONNECTED = "bus_reconnected"
    BUS_RESTORED = "bus_restored"
    CLASSIFIER_CHANGED = "classifier_changed"
    CLASSIFIER_FAILED = "classifier_failed"
    DETERMINISTIC_SHAPES_CHOSEN = "deterministic_shapes_chosen"
    DRAW_FAILED = "draw_failed"
    EMERGENCY_BEGAN = "emergency_began"
    EMERGENCY_ENDED = "emergency_ended"
    ENGINE_LOOP_FAILED = "engine_loop_failed"
    ENGINE_STEP_FAILED = "engine_step_failed"
    FLEET_HEARD_AGAIN = "fleet_heard_again"
    FLEET_OUT_OF_SIGHT = "fleet_out_of_sight"
    FOLDER_NOT_READ = "folder_not_read"
    HEAD_SCREENED = "head_screened"
    JOBS_NOT_WITHDRAWN = "jobs_not_withdrawn"
    JOBS_WITHDRAWN = "jobs_withdrawn"
    JOB_CANCELLED = "job_cancelled"
    JOB_DEAD = "job_dead"
    JOB_EXPIRED = "job_expired"
    JOB_FINISHED = "job_finished"
    JOB_ISOLATED = "job_isolated"
    JOB_LEFT = "job_left"
    JOB_LOST_FROM_SIGHT = "job_lost_from_sight"
    JOB_REFUSED = "job_refused"
    JOB_RETRIED = "job_retried"
    JOB_SNOOZED = "job_snoozed"
    JOB_TERMINATED = "job_terminated"
    LEASES_RETURNED = "leases_returned"
    LOADER_TASK_FAILED = "loader_task_failed"
    LOOP_FAILED = "loop_failed"
    LORA_COSTS_MEASURED = "lora_costs_measured"
    LORA_COSTS_NOT_KEPT = "lora_costs_not_kept"
    MESSAGE_MALFORMED = "message_malformed"
    METRICS_SERVED = "metrics_served"
    MODEL_NOT_TOLD = "model_not_told"
    OCCURRENCE_PLACED = "occurrence_placed"
    PACKED_FILE_NOT_KEPT = "packed_file_not_kept"
    PACKED_FILE_NOT_REMOVED = "packed_file_not_removed"
    PACKED_FILE_REFUSED = "packed_file_refused"
    PACKED_FILE_UNREADABLE = "packed_file_unreadable"
    PACKED_FOLDER_UNUSABLE = "packed_folder_unusable"
    PAGE_ACTED = "page_acted"
    PIN_REFUSED = "pin_refused"
    PLACEMENT_ORDERED = "placement_ordered"
    PLACEMENT_REFUSED = "placement_refused"
    PLAN_LOG_ENDED = "plan_log_ended"
    PREFETCH_FAILED = "prefetch_failed"
    PROCESS_DRAINED = "process_drained"
    PROCESS_STARTED = "process_started"
    PROCESS_STOPPED = "process_stopped"
    PRODUCTS_WIDENED = "products_widened"
    PROMPT_UNJUDGED = "prompt_unjudged"
    REQUEST_ANSWERED = "request_answered"
    RESULTS_FULL = "results_full"
    RESULT_ALREADY_STORED = "result_already_stored"
    ROW_END_FAILED = "row_end_failed"
    ROW_START_FAILED = "row_start_failed"
    SAMPLES_FAILED = "samples_failed"
    SEAT_GIVEN = "seat_given"
    SEAT_LOST = "seat_lost"
    SEAT_TAKEN = "seat_taken"
    SESSIONS_FAILED = "sessions_failed"
    SINK_FAILED = "sink_failed"
    STOP_STEP_FAILED = "stop_step_failed"
    TOKENS_NOT_DELIVERED = "tokens_not_delivered"
    TOKENS_NOT_STORED = "tokens_not_stored"
    TOKEN_CALLBACK_FAILED = "token_callback_failed"
    TOKEN_CALLBACK_TOO_SLOW = "token_callback_too_slow"
    TOKEN_NOT_TAKEN = "token_not_taken"
    VERSION_STOPPED = "version_stopped"
    WATCH_RESTARTED = "watch_restarted"
    WEIGHTS_CHANGED = "weights_changed"
    WORKER_APPEARED = "worker_appeared"
    WORKER_CONTRADICTED = "worker_contradicted"
    WORKER_DIED = "worker_died"
    WORKER_HUNG = "worker_hung"
    WORKER_LEFT = "worker_left"
    WORKER_PAUSED = "worker_paused"
    WORKER_RESUMED = "worker_resumed"


class _Silent:
    """A logger whose lines go nowhere."""

    def log(self, event: str, **fields: object) -> None:
        """Whatever was found, nobody here asked to read it."""

    debug = info = warning = error = exception = critical = log


def process_logger(**bound: object) -> structlog.typing.FilteringBoundLogger:
    """A logger for modules that also run inside other people's services: silent until `configure_logs`."""
    if "structlog" in sys.modules:  # else nobody can have configured it
        import structlog

        if structlog.is_configured():
            logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**bound)
            return logger
    return cast("structlog.typing.FilteringBoundLogger", _Silent())


def configure_logs(*, as_json: bool, level: str = "info") -> None:
    """Set up structlog for this process.

    Raises:
        ValueError: the level is not one of logging's names.
    """
    import structlog

    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: use debug, info, warning or error")
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
