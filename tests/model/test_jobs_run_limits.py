"""A row ends when it has run as long as it may, between two tokens (E4)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from tests.model.conftest import AfterSteps, StartYard, ask, failure_of, text_of

from lorayard_workers.engine.outcome import DeadlinePassed, FailureKind, FinishReason, Succeeded, TokenChunk
from lorayard_workers.engine.request import GenerationRequest


def limited(request_id: str, **limits: Any) -> GenerationRequest:
    return replace(ask(request_id, max_new_tokens=30, ignore_eos=True), **limits)


def test_a_soft_limit_ends_a_row_with_what_it_has_and_a_hard_one_fails_it__e4(
    start_yard: StartYard, after_steps: AfterSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard()
    clock = time.perf_counter
    after_steps(5, lambda: monkeypatch.setattr(time, "perf_counter", lambda: clock() + 60))
    found = yard.run(
        limited("soft", run_seconds=50.0),
        limited("hard", run_hard_seconds=50.0),
        limited("both", run_seconds=40.0, run_hard_seconds=1000.0),
        limited("free"),
        limited("long", run_seconds=1000.0),
    )
    for name in ("soft", "both"):
        ended = found[name]
        assert isinstance(ended, Succeeded)
        assert ended.finish_reason is FinishReason.TIME
        assert 0 < ended.completion_tokens < 30
        assert text_of(found["free"]).startswith(ended.text)
    assert failure_of(found["hard"]) == (FailureKind.PERMANENT, "run_limit", "run_limit_hard_seconds")
    for name in ("free", "long"):
        whole = found[name]
        assert isinstance(whole, Succeeded)
        assert (whole.finish_reason, whole.completion_tokens) == (FinishReason.LENGTH, 30)


def test_what_was_streamed_is_all_of_the_text_that_the_limit_left__e4(
    start_yard: StartYard, after_steps: AfterSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard()
    clock = time.perf_counter
    told: list[TokenChunk] = []
    after_steps(5, lambda: monkeypatch.setattr(time, "perf_counter", lambda: clock() + 60))
    request = replace(
        ask("1", max_new_tokens=30, ignore_eos=True, stop=("never to be seen",)), run_seconds=50.0
    )
    ended = yard.run(request, on_tokens={"1": told.append})["1"]
    assert "".join(chunk.text for chunk in told) == text_of(ended)


def test_one_that_has_not_started_in_time_ends_and_one_that_has_goes_on__e4(
    start_yard: StartYard, after_steps: AfterSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard(rows=1)
    now = time.time()
    after_steps(3, lambda: monkeypatch.setattr(time, "time", lambda: now + 60))
    found = yard.run(limited("runs", start_by=now + 30), limited("waits", start_by=now + 30))
    assert text_of(found["runs"])
    assert found["waits"] == DeadlinePassed(request_id="waits")
