"""Exit codes and the one line for each kind of trouble."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path

import pytest

from lorayard.errors import (
    InvalidRequestError,
    JobTimeoutError,
    NoDispatcherError,
    YardFullError,
)
from lorayard_cli.embedded.bus_server import PortInUseError
from lorayard_cli.embedded.child import ChildChange, ChildState
from lorayard_cli.embedded.data_folder import YardRunsAlreadyError
from lorayard_cli.embedded.supervisor import ChildGivenUpError
from lorayard_cli.exit_codes import NO_USE_IN_RESTARTING, ExitCode
from lorayard_cli.failures import KNOWN, explain, outcome_exit_code
from lorayard_schemas.result import ErrorKind, ResultError, ResultState
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.errors import BusUnavailableError, SettingsError
from lorayard_workers.errors import BaseModelMissingError
from lorayard_workers.model_store import UnknownModelError


def test_exit_codes_never_change() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NO_BUS": 3,
        "UNKNOWN_ADAPTER": 4,
        "BAD_INPUT": 5,
        "MODEL_MISSING": 6,
        "PORT_IN_USE": 7,
        "NOT_READY": 8,
        "TIMED_OUT": 9,
        "WORKER_SPENT": 10,
        "WORKER_RECYCLED": 11,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (BusUnavailableError(url="nats://x", reason="refused"), ExitCode.NO_BUS, "no_bus"),
        (SettingsError(setting="LORAYARD_URL", reason="bad"), ExitCode.USAGE, "bad_setting"),
        (PortInUseError(port=4222), ExitCode.PORT_IN_USE, "port_in_use"),
        (YardRunsAlreadyError(folder=Path("x"), pid=7), ExitCode.PORT_IN_USE, "yard_runs_already"),
        (InvalidRequestError(field="lane", reason="no lane"), ExitCode.BAD_INPUT, "bad_input"),
        (JobTimeoutError(job_id="j", timeout_seconds=1), ExitCode.TIMED_OUT, "timed_out"),
        (YardFullError(reason="bytes"), ExitCode.NOT_READY, "yard_full"),
        (NoDispatcherError(order="cancel", reason="none"), ExitCode.NOT_READY, "no_dispatcher"),
        (BaseModelMissingError(Path("x"), "nothing there"), ExitCode.MODEL_MISSING, "model_missing"),
        (UnknownModelError("x", "no such folder"), ExitCode.MODEL_MISSING, "model_missing"),
        (AdapterRefusedError(Path("x"), "a pickle"), ExitCode.BAD_INPUT, "bad_adapter"),
        (asyncio.CancelledError(), ExitCode.INTERRUPTED, "interrupted"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
        (ZeroDivisionError("x"), ExitCode.FAILED, "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_kind_of_trouble_has_its_exit_code(error: BaseException, exit_code: ExitCode, code: str) -> None:
    failure = explain(error)
    assert (failure.exit_code, failure.code) == (exit_code, code)
    assert failure.message
    assert "\n" not in failure.message


@pytest.mark.parametrize("module", KNOWN)
def test_every_error_that_is_known_by_name_is_at_home_there(module: str) -> None:
    """An error of another module bears that one's name, and would be taken for a fault of ours."""
    for name in KNOWN[module]:
        found = getattr(import_module(module), name)
        assert issubclass(found, BaseException)
        assert (found.__module__, found.__name__) == (module, name)


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch.nn", "worker"), ("safetensors", "embedded"), ("gguf", "demo"), ("uvloop", "dispatcher")],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(module: str, extra: str) -> None:
    failure = explain(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert (failure.exit_code, failure.code) == (ExitCode.USAGE, "extra_missing")
    assert module.partition(".")[0] in failure.message
    assert f"pip install 'lorayard[{extra}]'" in failure.message


def test_a_module_of_ours_that_is_missing_is_our_own_mistake() -> None:
    failure = explain(
        ModuleNotFoundError("No module named 'lorayard_cli.nowhere'", name="lorayard_cli.nowhere")
    )
    assert failure.code == "internal"


def test_a_wrong_field_is_named() -> None:
    assert explain(InvalidRequestError(field="adapter", reason="no")).field == "adapter"


def test_a_child_that_gave_up_passes_on_its_exit_code_and_its_last_error() -> None:
    change = ChildChange(
        name="w1",
        state=ChildState.GIVEN_UP,
        exit_code=ExitCode.MODEL_MISSING,
        last_words=("loading", "error: no model in /x", "bye"),
    )
    failure = explain(ChildGivenUpError(change))
    assert failure.exit_code is ExitCode.MODEL_MISSING
    assert failure.message == "w1 cannot run: no model in /x"


def test_a_bus_that_is_away_is_worth_another_start() -> None:
    assert ExitCode.NO_BUS not in NO_USE_IN_RESTARTING
    assert ExitCode.MODEL_MISSING in NO_USE_IN_RESTARTING


def _error(code: str, kind: ErrorKind) -> ResultError:
    return ResultError(kind=kind, code=code, message="m")


@pytest.mark.parametrize(
    ("state", "error", "exit_code"),
    [
        (ResultState.SUCCEEDED, None, ExitCode.OK),
        (ResultState.EXPIRED, None, ExitCode.TIMED_OUT),
        (ResultState.CANCELLED, None, ExitCode.FAILED),
        (ResultState.FAILED, _error("unknown_adapter", ErrorKind.PERMANENT), ExitCode.UNKNOWN_ADAPTER),
        (ResultState.FAILED, _error("prompt_too_long", ErrorKind.PERMANENT), ExitCode.BAD_INPUT),
        (ResultState.FAILED, _error("engine_error", ErrorKind.RETRYABLE), ExitCode.FAILED),
        (ResultState.FAILED, _error("poison", ErrorKind.POISON), ExitCode.FAILED),
    ],
)
def test_a_job_that_was_waited_for_decides_the_exit_code(
    state: ResultState, error: ResultError | None, exit_code: ExitCode
) -> None:
    assert outcome_exit_code(state, error) is exit_code
