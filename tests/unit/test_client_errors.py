"""Errors say who must act, and carry their fields (E2, E5)."""

from __future__ import annotations

import pytest

import lorayard
from lorayard import (
    BusRefusedError,
    Client,
    ClientClosedError,
    ErrorKind,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    LorayardError,
    Result,
    ResultState,
    SettingsError,
    SubmitReport,
    SyncClient,
    YardFullError,
)
from lorayard.publisher import refusal_error
from lorayard.result import from_wire, raise_unless_succeeded
from lorayard_schemas.result import JobResult, Maker, ResultError


def result(state: ResultState, error: ResultError | None = None) -> Result:
    wire = JobResult(
        job="j1", tenant="t", state=state, error=error, maker=Maker(worker="w1", adapter="a/b/c", tier="slot")
    )
    return from_wire(wire, "text")


def test_an_answer_names_its_maker() -> None:
    answer = raise_unless_succeeded(result(ResultState.SUCCEEDED))
    assert (answer.text, answer.worker, answer.adapter, answer.tier) == ("text", "w1", "a/b/c", "slot")
    assert answer.succeeded


def test_a_failed_job_tells_kind_code_message_and_field() -> None:
    error = ResultError(
        kind=ErrorKind.PERMANENT, code="unknown_adapter", message="no adapter a/b/c", field="adapter"
    )
    with pytest.raises(JobFailedError, match="job j1 failed: adapter: no adapter a/b/c") as caught:
        raise_unless_succeeded(result(ResultState.FAILED, error))
    raised = caught.value
    assert (raised.kind, raised.code, raised.message, raised.field) == (
        ErrorKind.PERMANENT,
        "unknown_adapter",
        "no adapter a/b/c",
        "adapter",
    )
    assert raised.result.worker == "w1"


@pytest.mark.parametrize(
    ("state", "kind"),
    [(ResultState.CANCELLED, JobCancelledError), (ResultState.EXPIRED, JobExpiredError)],
)
def test_other_ends_have_errors_of_their_own(state: ResultState, kind: type[LorayardError]) -> None:
    with pytest.raises(kind, match="j1"):
        raise_unless_succeeded(result(state))


@pytest.mark.parametrize("code", [10023, 10028, 10047])
def test_used_up_resources_are_back_pressure(code: int) -> None:
    assert isinstance(refusal_error(code, "resource limits exceeded"), YardFullError)


def test_a_full_stream_is_back_pressure_and_other_store_failures_are_not() -> None:
    assert isinstance(refusal_error(10077, "maximum bytes exceeded"), YardFullError)
    other = refusal_error(10077, "disk is broken")
    assert isinstance(other, BusRefusedError)
    assert (other.code, other.description) == (10077, "disk is broken")


def test_a_report_keeps_the_place_of_each_error() -> None:
    full = YardFullError(reason="maximum bytes exceeded")
    report: SubmitReport[str] = SubmitReport(entries=["a", full, "b"])
    assert report.handles == ["a", "b"]
    assert report.errors == [(1, full)]
    with pytest.raises(YardFullError):
        report.all_handles()


def test_every_public_error_is_a_lorayard_error() -> None:
    errors = [getattr(lorayard, name) for name in lorayard.__all__ if name.endswith("Error")]
    assert len(errors) > 15
    assert all(issubclass(error, LorayardError) for error in errors)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(ClientClosedError):
        await Client().submit("hello")
    with pytest.raises(ClientClosedError):
        SyncClient().workers()


def test_a_bad_setting_is_named() -> None:
    with pytest.raises(SettingsError, match="LORAYARD_PREFIX"):
        Client(prefix="Not A Prefix")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORAYARD_TENANT", "")
    with pytest.raises(SettingsError, match="LORAYARD_TENANT"):
        Client()
