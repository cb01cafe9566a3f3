"""A line on its way: under which keys it is asked, and whether what came back is its answer.

Every job has a key made of batch, custom_id and place among the line's choices, so whoever runs the batch
again finds the job that there is. A result that is no answer for good, as a refusal for want of room, uses
its key up: the next generation of the key is another job. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from lorayard.batch.line import Line
from lorayard.request import GenerateRequest
from lorayard.result import Result
from lorayard_schemas.result import ResultState
from lorayard_shared.value import value


@value
class Work:
    """One line, and the generation of each of its keys."""

    line: Line
    generations: tuple[int, ...]
    not_before: float = 0.0
    """By the loop's clock."""

    def requests(self, batch: str) -> list[GenerateRequest]:
        """What is asked of the yard."""
        keys = keys_of(batch, self.line.custom_id, self.generations)
        asked = zip(self.line.asked.requests, keys, strict=True)
        return [replace(request, idempotency_key=key) for request, key in asked]

    def again(self, places: frozenset[int], not_before: float) -> Work:
        """The same, with other jobs at these places."""
        later = tuple(g + (place in places) for place, g in enumerate(self.generations))
        return Work(line=self.line, generations=later, not_before=not_before)


@value
class Redo:
    """Which results of earlier runs are no answers any more."""

    failed_before: float = 0.0
    """Unix seconds."""
    cancelled_before: float = 0.0

    def holds_for(self, result: Result) -> bool:
        """Whether the job is to be asked again, under another key."""
        if result.state is ResultState.SUCCEEDED:
            return False
        if no_room(result):
            return True
        cancelled = result.state is ResultState.CANCELLED
        before = max(self.failed_before, self.cancelled_before) if cancelled else self.failed_before
        return result.finished_at < before


def work_of(line: Line) -> Work:
    """A line that was not sent yet."""
    return Work(line=line, generations=(0,) * len(line.asked.requests))


def keys_of(batch: str, custom_id: str, generations: tuple[int, ...]) -> list[str]:
    """The key of each choice."""
    return [f"batch/{batch}/{place}/{g}/{custom_id}" for place, g in enumerate(generations)]


def no_room(result: Result) -> bool:
    """Whether the yard refused it for now, by a limit."""
    error = result.error
    return error is not None and error.limit is not None and error.retry_after_seconds is not None


def group_of(line: Line) -> str:
    """Lines of one group swap nothing between them."""
    request = line.asked.requests[0]
    if request.composition is None:
        return request.adapter or ""
    return "+".join(sorted(f"{name}={weight}" for name, weight in request.composition.adapters.items()))
