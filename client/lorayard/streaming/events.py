"""What a user hears of a job while it runs."""

from __future__ import annotations

from lorayard_schemas.result import ResultState
from lorayard_schemas.token_event import EventKind
from lorayard_shared.value import value


@value
class JobEvent:
    """One thing that happened to a job.

    The texts of all `TOKENS` since the last `RESTARTED`, or since the beginning, are the answer so far; at
    the `ENDED` of a job that succeeded they are all of it.
    """

    kind: EventKind
    sequence: int
    """`events(after=sequence)` goes on behind this event, in any process. 0: from the beginning."""
    attempt: int = 1
    worker: str = ""
    """Who works on it; empty where nobody did."""
    text: str = ""
    """Of `TOKENS`: what is new. Empty where tokens have none yet."""
    index: int = 0
    """Of `TOKENS`: tokens before these."""
    tokens: int = 0
    """Of `TOKENS`: how many."""
    prompt_done: int = 0
    """Of `PROGRESS`: tokens of the prompt that were read."""
    prompt_tokens: int = 0
    """Of `PROGRESS`: all of them."""
    state: ResultState | None = None
    """Of `ENDED`: how."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """As the request had them; of what a worker told."""
    at: float = 0.0
    """When, by the worker's clock, in unix seconds."""
