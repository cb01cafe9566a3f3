"""What a user asks for: one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict

from lorayard.composition import Composition
from lorayard_schemas.job import ChatTurn, Lane
from lorayard_schemas.retry import Retry

LaneName = Literal["urgent", "high", "normal", "bulk"]

TemplateName = Literal["adapter", "none"]

Prompt = str | Sequence[ChatTurn | Mapping[str, str]]
"""A text, or the turns of a conversation: `{"role": "user", "content": "..."}`."""


class RequestOptions(TypedDict, total=False):
    """Everything about a request but its prompt; what each means stands at `GenerateRequest`."""

    adapter: str | None
    composition: Composition | None
    lane: Lane | LaneName
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int | None
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float] | Mapping[str, float] | None
    stop: str | Sequence[str]
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    min_new_tokens: int
    logprobs: int | None
    json_schema: str | Mapping[str, Any] | None
    deadline_seconds: float | None
    start_within_seconds: float | None
    run_limit_seconds: float | None
    run_limit_hard_seconds: float | None
    delay_seconds: float | None
    at: datetime | float | None
    session: str | None
    task: str | None
    metadata: Mapping[str, str] | None
    idempotency_key: str | None
    template: TemplateName
    retry: Retry | Mapping[str, Any] | None
    stream: bool
    correlation_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One piece of work. The same names as the arguments of `Client.generate` and `Client.submit`."""

    prompt: Prompt
    _: KW_ONLY
    adapter: str | None = None
    """`{org}/{model-family}/{task}`, `@version` behind it or not, or `base`; None: the yard chooses."""
    composition: Composition | None = None
    """Several weighted adapters, instead of `adapter`."""
    lane: Lane | LaneName = Lane.NORMAL
    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    """The least probability kept, as a share of the likeliest token's; 0 keeps every token."""
    seed: int | None = None
    repetition_penalty: float = 1.0
    """Over prompt and answer, as in transformers; 1 changes nothing."""
    presence_penalty: float = 0.0
    """As in OpenAI's API, -2 to 2, as is the next."""
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | Mapping[str, float] | None = field(default=None, hash=False)
    """Token id -> what is added to its logit, -100 to 100."""
    stop: str | Sequence[str] = ()
    stop_token_ids: Sequence[int] = ()
    ignore_eos: bool = False
    min_new_tokens: int = 0
    logprobs: int | None = None
    """Tell log-probabilities: of each token, and of so many (0 to 20) of the likeliest at its place."""
    json_schema: str | Mapping[str, Any] | None = field(default=None, hash=False)
    """A JSON schema, as text or as data: the answer is a document that fits it, unless `max_new_tokens` or a
    stop cuts it short (`finish_reason` says so for the first)."""
    deadline_seconds: float | None = None
    """From now; a job that could not start by then expires."""
    start_within_seconds: float | None = None
    """From now, or from when it starts at the earliest: one that still waits then expires; one that runs goes
    on."""
    run_limit_seconds: float | None = None
    """It ends so long after its first step, between two tokens, with what it has (`finish_reason` `time`)."""
    run_limit_hard_seconds: float | None = None
    """It fails so long after its first step, with code `run_limit`."""
    delay_seconds: float | None = None
    """Start so many seconds from now, by the server's clock; at most 366 days."""
    at: datetime | float | None = None
    """Start then, instead: a datetime with a time zone, or unix seconds. A time that is over means now."""
    session: str | None = None
    task: str | None = None
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    idempotency_key: str | None = None
    """The same key gives the same job and the same handle, however often it is submitted."""
    template: TemplateName = "adapter"
    """`adapter` puts a plain prompt into the form the adapter was trained on, where it brings one along;
    `none` sends it as it is. A conversation is never touched."""
    retry: Retry | Mapping[str, Any] | None = field(default=None, hash=False)
    """How often and how soon it is tried again; what it leaves open is its tenant's, then the yard's."""
    stream: bool = False
    """Tell its tokens while it runs, to `JobHandle.events` and `text_stream`."""
    correlation_id: str | None = None
    """What you know it by: stands in its events, its records and its result, and in the logs of the yard."""
    traceparent: str | None = None
    """The W3C trace context that it is a part of; None: opentelemetry's current span, if there is one."""
