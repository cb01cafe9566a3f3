"""What an echo engine says: the prompt, nothing, or whatever a test writes for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lorayard_workers.engine.outcome import Outcome
from lorayard_workers.engine.request import GenerationRequest


def echo_prompt(request: GenerationRequest) -> str:
    """The prompt itself, or the last turn of a conversation."""
    if isinstance(request.prompt, str):
        return request.prompt
    return request.prompt[-1].content if request.prompt else ""


def answer_nothing(request: GenerationRequest) -> str:
    """An empty text, for benchmarks that should not pay for bytes."""
    del request
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """What an echo engine shall do with a request, for tests of what surrounds an engine."""

    text: str | None = None  # None: what the engine would answer
    delay_seconds: float = 0.0  # on top of the engine's own; infinite: never, until cancelled
    outcome: Outcome | None = None  # told instead of a success, under the request's own id
    hangs: bool = False  # the engine's thread, from this row on


Script = Callable[[GenerationRequest], Scripted]


def hang_on(prompt: str | None) -> Script | None:
    """The engine's thread hangs as soon as a row with this prompt runs; None: never."""
    return None if prompt is None else lambda request: Scripted(hangs=request.prompt == prompt)
