"""What one OpenAI body asks for: the yard's requests, and how the answer is to look."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lorayard.openai_shapes.endpoint import Endpoint
from lorayard.request import GenerateRequest
from lorayard_schemas.job import Lane

MOST_CHOICES = 128
"""OpenAI's own bound of `n`; here of prompts times `n`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is said beside a body, as in headers; it goes before what the body says."""

    lane: Lane | None = None
    deadline_seconds: float | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One body, read."""

    endpoint: Endpoint
    model: str
    """As the body had it."""
    requests: tuple[GenerateRequest, ...]
    """One for each choice, in the order of the choices: of each prompt `n`."""
    choices_per_prompt: int = 1
    stream: bool = False
    include_usage: bool = False
    """`stream_options.include_usage`: a last chunk with the usage."""

    def keyed(self, key: str) -> Asked:
        """The same, its requests under keys derived from one: the whole body is asked once.

        The line break keeps them apart from keys that somebody gives: no header can hold one.
        """
        single = len(self.requests) == 1
        keyed = (
            replace(request, idempotency_key=key if single else f"{key}\n{index}")
            for index, request in enumerate(self.requests)
        )
        return replace(self, requests=tuple(keyed))
