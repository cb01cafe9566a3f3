"""What a worker tells of a streamed job while it runs: that it began, how far it is, its text as it comes.

A run is one worker's try at a job. `attempt`, `deliveries` and `epoch`, in this order, tell an earlier run
from a later one: whoever reads keeps to the highest it has seen, so that what a holder says that lost the job
changes nothing. An event may come twice, and one may be missing: `offset_bytes` shows it.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorayard_schemas.message import Message
from lorayard_schemas.names import JobId
from lorayard_schemas.result import ResultState

TOKENS_AGE_SECONDS = 600
"""How long the stream of them keeps an event."""


class EventKind(StrEnum):
    """What happened."""

    STARTED = "started"
    """A worker began on the job."""
    TOKENS = "tokens"
    """More of the text."""
    PROGRESS = "progress"
    """More of a long prompt was read; no text yet."""
    RESTARTED = "restarted"
    """A worker began on the job anew: what was streamed of it before is void."""
    ENDED = "ended"
    """Its result is stored, and has the truth."""


class TokenEvent(Message):
    """One message on `yard.tokens.{tenant}.{job}`, announced on `yard.told.{tenant}.{job}`."""

    job: JobId
    kind: EventKind
    worker: str
    attempt: int = Field(ge=1)
    deliveries: int = Field(default=1, ge=1)
    """How often this attempt was given out: more than once after an interruption."""
    epoch: int = Field(default=0, ge=0)
    """Of the worker: when it was started, in unix nanoseconds."""
    index: int = Field(default=0, ge=0)
    """Tokens that the run wrote before those of this event."""
    tokens: int = Field(default=0, ge=0)
    """How many this event is about; some may have no text, or have theirs in a later event."""
    offset_bytes: int = Field(default=0, ge=0)
    """UTF-8 bytes of the run's text before `text`. Less than the reader has: the beginning of `text` is known
    to it. More: something is missing, and a later event that begins at 0, or the result, has it."""
    text: str = ""
    """Whole characters, and nothing that may still become part of a stop string."""
    prompt_done: int = Field(default=0, ge=0)
    """Tokens of the prompt that were read, in a `progress`."""
    prompt_tokens: int = Field(default=0, ge=0)
    """All of them."""
    state: ResultState | None = None
    """How the job ended, in an `ended`."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """As the job had them."""
    at: float = 0.0
    """Unix seconds."""
