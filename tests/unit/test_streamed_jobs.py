"""What of a streamed job is told next: all there is, never twice, and the whole of it after a loss (C12)."""

from __future__ import annotations

import pytest

import lorayard_workers.service.token_stream
from lorayard_schemas.assignment import AssignedJob
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Lane
from lorayard_schemas.result import ResultState
from lorayard_schemas.subjects import JobAddress
from lorayard_schemas.token_event import EventKind, TokenEvent
from lorayard_workers.engine.outcome import TokenChunk
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.token_stream import (
    EVENT_SECONDS,
    FIRST_REST_SECONDS,
    LAST_REST_SECONDS,
    UNANSWERED_EVENTS,
    WHOLE_SECONDS,
    TokenStream,
)


def stream(*, attempt: int = 1, deliveries: int = 1) -> TokenStream:
    assigned = AssignedJob(
        key="S:1", lease="l", subject="s", body=b"", attempt=attempt, deliveries=deliveries
    )
    held = HeldJob(assigned, JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None), "j")
    return TokenStream(held, "subject", worker="w", epoch=7, now=0.0)


def say(stream: TokenStream, text: str, tokens: int | None = None) -> None:
    ids = tuple(range(len(text) if tokens is None else tokens))
    stream.take(TokenChunk(request_id="S:1", index=0, token_ids=ids, text=text))


def next_event(stream: TokenStream, now: float = 1.0) -> TokenEvent:
    body = stream.next(now)
    assert body is not None
    return decode(TokenEvent, body)


@pytest.mark.parametrize(
    ("attempt", "deliveries", "kind"),
    [(1, 1, EventKind.STARTED), (2, 1, EventKind.RESTARTED), (1, 2, EventKind.RESTARTED)],
)
def test_a_run_that_is_not_the_first_says_so(attempt: int, deliveries: int, kind: EventKind) -> None:
    begun = decode(TokenEvent, stream(attempt=attempt, deliveries=deliveries).begun())
    assert (begun.kind, begun.attempt, begun.deliveries, begun.epoch, begun.worker) == (
        kind,
        attempt,
        deliveries,
        7,
        "w",
    )


def test_all_that_was_written_since_is_one_event() -> None:
    job = stream()
    assert not job.waits
    say(job, "é")
    say(job, "a")
    one = next_event(job)
    assert (one.text, one.offset_bytes, one.index, one.tokens) == ("éa", 0, 0, 2)
    assert not job.waits
    say(job, "", tokens=1)
    two = next_event(job)
    assert (two.text, two.offset_bytes, two.index, two.tokens) == ("", 3, 2, 1)


def test_events_come_no_closer_than_a_reader_can_tell() -> None:
    job = stream()
    say(job, "a")
    assert job.is_due(0.0), "the first token at once"
    job.next(0.0)
    say(job, "b")
    assert not job.is_due(EVENT_SECONDS / 2)
    assert job.is_due(EVENT_SECONDS)


def test_a_slow_bus_is_sent_no_more_until_it_answers() -> None:
    job = stream()
    say(job, "a")
    job.unanswered = UNANSWERED_EVENTS
    assert not job.is_due(9.0)
    job.unanswered -= 1
    assert job.is_due(9.0)


def test_after_a_loss_the_whole_text_is_told_and_offered_ever_more_seldom() -> None:
    job = stream()
    say(job, "one ")
    job.next(0.0)
    job.lost(10.0, refused=True)
    say(job, "two")
    assert not job.is_due(10.0 + FIRST_REST_SECONDS / 2)
    assert job.is_due(10.0 + FIRST_REST_SECONDS)
    event = next_event(job, 11.0)
    assert (event.text, event.offset_bytes, event.index, event.tokens) == ("one two", 0, 0, 7)
    for _ in range(9):
        job.lost(20.0, refused=True)
    assert not job.is_due(20.0 + LAST_REST_SECONDS - 1)
    assert job.is_due(20.0 + LAST_REST_SECONDS)
    job.next(40.0)
    job.stored()
    job.lost(50.0, refused=True)
    assert job.is_due(50.0 + FIRST_REST_SECONDS)


def test_what_a_lost_connection_took_along_is_told_at_once() -> None:
    job = stream()
    say(job, "one")
    job.next(0.0)
    job.lost(1.0, refused=False)
    assert job.is_due(1.0)


def test_a_long_answer_is_told_whole_now_and_then() -> None:
    job = stream()
    say(job, "one ")
    job.next(0.0)
    say(job, "two")
    assert next_event(job, WHOLE_SECONDS).offset_bytes == 0
    say(job, "!")
    assert next_event(job, WHOLE_SECONDS + 1).offset_bytes == 7


def test_text_that_no_message_holds_is_left_to_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lorayard_workers.service.token_stream, "INLINE_BYTES", 4)
    job = stream()
    say(job, "four")
    say(job, "!")
    assert job.next(1.0) is None
    say(job, "more")
    assert not job.waits
    torn = stream()
    for text in ("four", "four"):
        say(torn, text)
        torn.next(1.0)
    torn.lost(2.0, refused=False)
    assert torn.waits
    assert torn.next(3.0) is None
    assert not torn.waits


def test_progress_is_told_until_there_are_tokens() -> None:
    job = stream()
    job.take(TokenChunk(request_id="S:1", index=0, token_ids=(), text="", prompt_done=8, prompt_tokens=20))
    job.take(TokenChunk(request_id="S:1", index=1, token_ids=(), text="", prompt_done=16, prompt_tokens=20))
    event = next_event(job)
    assert (event.kind, event.prompt_done, event.prompt_tokens) == (EventKind.PROGRESS, 16, 20)
    job.take(TokenChunk(request_id="S:1", index=2, token_ids=(), text="", prompt_done=19, prompt_tokens=20))
    say(job, "a")
    assert next_event(job).kind is EventKind.TOKENS


def test_the_end_says_how_much_was_told() -> None:
    job = stream()
    say(job, "é")
    job.next(1.0)
    ended = decode(TokenEvent, job.ended(ResultState.SUCCEEDED))
    assert (ended.kind, ended.state, ended.offset_bytes, ended.index) == (
        EventKind.ENDED,
        ResultState.SUCCEEDED,
        2,
        1,
    )
