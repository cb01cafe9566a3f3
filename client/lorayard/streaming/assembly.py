"""From what workers told to what a user hears: in order, each piece of text once, and of one run alone.

Pure: it takes stored events in the stream's order, and the result, and gives the user's events.
"""

from __future__ import annotations

from dataclasses import replace

from lorayard.result import Result
from lorayard.streaming.events import JobEvent
from lorayard_schemas.token_event import EventKind, TokenEvent

Run = tuple[int, int, int, str]


def run_of(event: TokenEvent) -> Run:
    """Which try at the job it tells of; a later one is greater."""
    return event.attempt, event.deliveries, event.epoch, event.worker


class Assembly:
    """The text of the newest run, put together."""

    def __init__(self) -> None:
        self.position = 0
        """Sequence of the last event taken."""
        self.ended = False
        """A worker has told that the result is stored."""
        self._run: Run | None = None
        self._parts: list[str] = []
        self._bytes = 0
        self._tokens = 0
        self._torn = False

    @property
    def text(self) -> str:
        """What there is of the run's text."""
        return "".join(self._parts)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing of what was told."""
        return not self._torn

    @property
    def attempt(self) -> int:
        """Of the run."""
        return 1 if self._run is None else self._run[0]

    def take(self, sequence: int, told: TokenEvent) -> list[JobEvent]:
        """What a user hears at an event of the stream."""
        before, self.position = self.position, sequence
        run, found = run_of(told), list[JobEvent]()
        if run != self._run:
            if not self._is_newer(run):
                return []
            again = self._run is not None or told.kind is EventKind.RESTARTED
            self._begin(run)
            if again:
                # Before an event that brings text: whoever goes on behind this one shall have the text too.
                opens = told.kind in (EventKind.STARTED, EventKind.RESTARTED)
                found.append(_event(EventKind.RESTARTED, sequence if opens else before, told))
            elif told.kind is EventKind.STARTED:
                found.append(_event(EventKind.STARTED, sequence, told))
        if told.kind is EventKind.TOKENS:
            found += self._more(sequence, told)
        elif told.kind is EventKind.PROGRESS:
            progress = _event(EventKind.PROGRESS, sequence, told)
            found.append(replace(progress, prompt_done=told.prompt_done, prompt_tokens=told.prompt_tokens))
        elif told.kind is EventKind.ENDED:
            self.ended = True
        return found

    def agrees(self, result: Result) -> bool:
        """Whether a user has heard the result's text, and no other."""
        return not result.succeeded or self.text == result.text

    def close(self, result: Result) -> list[JobEvent]:
        """What is left to say once the result is there."""
        found: list[JobEvent] = []
        said = JobEvent(
            kind=EventKind.TOKENS,
            sequence=self.position,
            attempt=result.attempt,
            worker=result.worker,
            correlation_id=result.correlation_id,
            trace_id=result.trace_id,
            at=result.finished_at,
        )
        if not self.agrees(result):
            if not result.text.startswith(text := self.text):
                found.append(replace(said, kind=EventKind.RESTARTED))
                text, self._tokens = "", 0
            tokens = max(0, result.usage.completion_tokens - self._tokens)
            found.append(replace(said, text=result.text[len(text) :], index=self._tokens, tokens=tokens))
        return [*found, replace(said, kind=EventKind.ENDED, state=result.state)]

    def again(self) -> list[JobEvent]:
        """What is known, for a user who may have heard something else."""
        said = JobEvent(kind=EventKind.RESTARTED, sequence=0, attempt=self.attempt)
        if not (text := self.text):
            return [said]
        tokens = replace(said, kind=EventKind.TOKENS, sequence=self.position, text=text, tokens=self._tokens)
        return [said, tokens]

    def _is_newer(self, run: Run) -> bool:
        # After the end everything is a new life of the job: an operator has let it run again.
        return self._run is None or self.ended or run > self._run

    def _begin(self, run: Run) -> None:
        self._run, self._parts, self._bytes, self._tokens = run, [], 0, 0
        self._torn = self.ended = False

    def _more(self, sequence: int, told: TokenEvent) -> list[JobEvent]:
        if told.offset_bytes > self._bytes:
            self._torn = True
            return []
        text = told.text
        if known := self._bytes - told.offset_bytes:
            text = text.encode()[known:].decode(errors="ignore")
        index, end = self._tokens, told.index + told.tokens
        self._torn = False
        if not text and end <= index:
            return []
        if text:
            self._parts.append(text)
            self._bytes += len(text.encode())
        self._tokens = max(index, end)
        said = _event(EventKind.TOKENS, sequence, told)
        return [replace(said, text=text, index=index, tokens=self._tokens - index)]


def _event(kind: EventKind, sequence: int, told: TokenEvent) -> JobEvent:
    return JobEvent(
        kind=kind,
        sequence=sequence,
        attempt=told.attempt,
        worker=told.worker,
        correlation_id=told.correlation_id,
        trace_id=told.trace_id,
        at=told.at,
    )
