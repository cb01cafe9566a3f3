"""What a user hears is put together from what workers told: in order, once, and of one run (C12, E4)."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lorayard import EventKind, JobEvent, ResultState
from lorayard.result import Result, from_wire
from lorayard.streaming.assembly import Assembly
from lorayard_schemas.result import JobResult, Maker, Usage
from lorayard_schemas.token_event import TokenEvent

TEXT = "Grüße 👋 an alle"


def told(kind: EventKind = EventKind.TOKENS, text: str = "", at: int = 0, **given: Any) -> TokenEvent:
    fields: dict[str, Any] = {"attempt": 1, "worker": "w", "epoch": 1, **given}
    return TokenEvent(job="j", kind=kind, text=text, offset_bytes=at, **fields)


def result(text: str | None = TEXT, *, state: ResultState = ResultState.SUCCEEDED) -> Result:
    usage = Usage(completion_tokens=0 if text is None else len(text))
    wire = JobResult(job="j", tenant="t", state=state, text=text, maker=Maker(worker="w"), usage=usage)
    return from_wire(wire, text or "")


def heard(events: list[TokenEvent], end: Result | None = None) -> list[JobEvent]:
    assembly, found = Assembly(), list[JobEvent]()
    for sequence, event in zip(count(1), events):
        found += assembly.take(sequence, event)
    return found + (assembly.close(end) if end is not None else [])


def text_of(events: list[JobEvent]) -> str:
    text = ""
    for event in events:
        text = "" if event.kind is EventKind.RESTARTED else text + event.text
    return text


def kinds(events: list[JobEvent]) -> list[EventKind]:
    return [event.kind for event in events]


CUTS = st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT))), max_size=12)


@given(CUTS)
def test_whatever_comes_twice_or_not_at_all_the_text_is_right_at_the_end(cuts: list[tuple[int, int]]) -> None:
    pieces = [
        told(text=TEXT[start:stop], at=len(TEXT[:start].encode()), index=start, tokens=max(0, stop - start))
        for start, stop in cuts
    ]
    before = heard(pieces)
    assert TEXT.startswith(text_of(before)), "nothing twice, nothing out of its place"
    after = heard(pieces, result())
    assert text_of(after) == TEXT
    assert EventKind.RESTARTED not in kinds(after)
    tokens = [event for event in after if event.kind is EventKind.TOKENS]
    assert sum(event.tokens for event in tokens) == len(TEXT)
    assert [event.index for event in tokens] == [
        sum(event.tokens for event in tokens[:at]) for at in range(len(tokens))
    ]


def test_after_a_piece_is_lost_the_whole_text_mends_it() -> None:
    events = [told(text="one "), told(text="three", at=8), told(text="one two three")]
    assert [event.text for event in heard(events)] == ["one ", "two three"]


def test_another_run_makes_the_text_void__e4() -> None:
    events = [
        told(EventKind.STARTED),
        told(text="first"),
        told(EventKind.RESTARTED, deliveries=2, epoch=2),
        told(text="second", deliveries=2, epoch=2),
    ]
    found = heard(events, result("second"))
    assert [(event.kind, event.text) for event in found] == [
        (EventKind.STARTED, ""),
        (EventKind.TOKENS, "first"),
        (EventKind.RESTARTED, ""),
        (EventKind.TOKENS, "second"),
        (EventKind.ENDED, ""),
    ]


def test_what_a_holder_says_that_lost_the_job_changes_nothing() -> None:
    events = [
        told(text="old"),
        told(text="new", deliveries=2),
        told(text=" and late", at=3),
        told(EventKind.ENDED),
        told(text="er", at=3, deliveries=2),
        told(text="an attempt before", deliveries=9, attempt=1, epoch=9),
        told(EventKind.STARTED, attempt=2),
        told(text="old again", deliveries=9),
    ]
    found = heard(events[:5])
    assert text_of(found) == "newer"
    assert kinds(found).count(EventKind.RESTARTED) == 1
    assert text_of(heard(events)) == ""


def test_a_run_that_is_first_heard_with_text_can_be_resumed_before_it() -> None:
    """Whoever kept the sequence of the `RESTARTED` alone still gets the text."""
    found = heard([told(text="old"), told(text="new", attempt=2)])
    assert [(event.kind, event.sequence) for event in found[1:]] == [
        (EventKind.RESTARTED, 1),
        (EventKind.TOKENS, 2),
    ]


def test_a_job_that_an_operator_let_run_again_begins_anew() -> None:
    events = [told(text="old", attempt=3), told(EventKind.ENDED, attempt=3), told(EventKind.STARTED)]
    assert kinds(heard(events)) == [EventKind.TOKENS, EventKind.RESTARTED]


def test_the_result_has_the_last_word() -> None:
    found = heard([told(text="somebody else's")], result("the answer"))
    assert kinds(found) == [EventKind.TOKENS, EventKind.RESTARTED, EventKind.TOKENS, EventKind.ENDED]
    assert text_of(found) == "the answer"
    cut = heard([told(text="the ans")], result(None, state=ResultState.CANCELLED))
    assert (text_of(cut), cut[-1].state) == ("the ans", ResultState.CANCELLED)


def test_tokens_without_text_are_told_once() -> None:
    """Half a character, or what may become a stop string."""
    found = heard([told(tokens=2), told(tokens=2), told(text="é", index=2, tokens=1)])
    assert [(event.index, event.tokens, event.text) for event in found] == [(0, 2, ""), (2, 1, "é")]
