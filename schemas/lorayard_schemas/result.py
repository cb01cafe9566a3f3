"""A result: the one answer of a job, naming who made it, with which weights, and what it cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from lorayard_schemas.additions import Additions
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.job import PayloadRef, RequestDigest
from lorayard_schemas.limit import ReachedLimit
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import Digest, JobId


class ResultState(StrEnum):
    """How a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class ErrorKind(StrEnum):
    """Who must act."""

    RETRYABLE = "retryable"
    """The yard could not, now; it has tried as often as it may."""
    PERMANENT = "permanent"
    """The request itself is at fault: change `field` and submit again."""
    POISON = "poison"
    """The job took its workers down with it."""


class ResultError(Part):
    """Why there is no text."""

    kind: ErrorKind
    code: str
    """Stable and in snake case, for programs."""
    message: str
    """For people: names the thing and what to do."""
    field: str | None = None
    retry_after_seconds: float | None = None
    """Of `limit_reached` and `shed`: sooner it would be refused again. None: nobody knows, or never."""
    limit: ReachedLimit | None = None
    """Of `limit_reached`: which one."""


class Maker(Part):
    """Who answered, with what."""

    worker: str
    adapter: str | None = None
    """Name of the adapter, None for the base model, and for a composition."""
    version: str | None = None
    digest: Digest | None = None
    composition: AppliedComposition | None = None
    """Several adapters, each fixed by digest, with its weight; the digest is that of the recipe."""
    base_digest: Digest | None = None
    rule: str = "base"
    """What chose the adapter: explicit, session, semantic, default, base, or `kind:name` of an operator's
    rule."""
    confidence: float | None = None
    """How sure the classifier was, where `rule` is `semantic`: 0 to 1, calibrated."""
    alias: AliasRef | None = None
    """That led to the version, and its revision then."""
    additions: Additions | None = None
    """The rules that added to what was chosen, and what was left out; None: nothing."""
    tier: Literal["slot", "host", "disk", "merged", "none"] = "none"
    """Where the adapter was found."""


class Usage(Part):
    """Tokens read and written."""

    prompt_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    """Of the prompt, read from the worker's prefix cache."""
    completion_tokens: int = Field(default=0, ge=0)


class TokenAlternative(Part):
    """A token that could have stood at a place."""

    token_id: int = Field(ge=0)
    text: str
    """The token alone: half a character is U+FFFD."""
    logprob: float
    """Natural logarithm, of the model's own distribution."""


class TokenLogprob(TokenAlternative):
    """The token that was taken at a place, and the likeliest ones there, in falling order."""

    alternatives: tuple[TokenAlternative, ...] = ()


class JobTimings(Part):
    """Where the time went, in milliseconds."""

    waited_ms: float = 0.0
    """From publish until a dispatcher handed it over."""
    queued_ms: float = 0.0
    """At the worker, until its row started."""
    load_ms: float = 0.0
    """Of that, bringing the adapter into a slot."""
    first_token_ms: float = 0.0
    """From arrival at the worker."""
    total_ms: float = 0.0
    """From arrival at the worker until the text was whole."""


class JobResult(Message):
    """Stored once per job on `yard.results.{tenant}.{job}`."""

    job: JobId
    tenant: str
    state: ResultState
    text: str | None = None
    text_ref: PayloadRef | None = None
    finish_reason: Literal["stop", "length", "time"] | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Where asked for, one for each completion token, the first ones as far as they fit into the message."""
    error: ResultError | None = None
    maker: Maker | None = None
    # Defaults would be copied deeply, for 10 us each.
    usage: Usage = Field(default_factory=Usage)
    timings: JobTimings = Field(default_factory=JobTimings)
    attempt: int = Field(default=1, ge=1)
    attempts: tuple[AttemptRecord, ...] = ()
    """Those that failed, the oldest first; of a failed job the last one is what `error` tells."""
    request_digest: RequestDigest | None = None
    """As the job had it."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """As the job had them."""
    finished_at: float = 0.0
    """Unix seconds."""
