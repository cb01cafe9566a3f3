"""A job: what a client asks for. Its subject carries lane, tenant and adapter; the body the rest."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from lorayard_schemas.composition import Composition
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import JobId, SessionName
from lorayard_schemas.retry import Retry
from lorayard_schemas.trace_context import CorrelationId, Traceparent

MAX_NEW_TOKENS = 32_768
"""No completion is longer; a model's own context bounds it further."""

INLINE_BYTES = 512 * 1024
"""Prompts and results above this travel by reference: a NATS message ends at 1 MiB."""

MAX_JOB_BYTES = 700 * 1024
"""Of a job's subject, body and history: a dispatcher hands them over in one message of 1 MiB. The client
refuses more at the door."""


class Lane(StrEnum):
    """How urgent a job is. Lanes are served in this order, each with a bound on how long it may wait."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


MAX_JSON_SCHEMA_CHARACTERS = 64 * 1024
"""Schemas of real programs have some kilobytes; a worker takes as many bytes."""

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
TokenKey = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,9})$")]
"""A token's id as JSON can have it: as a key."""


class Sampling(Part):
    """How tokens are drawn. `temperature` 0 is greedy; `top_k` 0 keeps every token.

    In this order: logit_bias, repetition_penalty, presence_penalty and frequency_penalty, min_new_tokens,
    json_schema, temperature, top_k, top_p, min_p.
    """

    max_new_tokens: int = Field(default=256, ge=1, le=MAX_NEW_TOKENS)
    temperature: float = Field(default=0.0, ge=0.0, le=10.0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0, lt=2**31)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    """The least probability kept, as a share of the likeliest token's."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    repetition_penalty: float = Field(default=1.0, ge=0.01, le=100.0, allow_inf_nan=False)
    """Over prompt and answer: positive logits are divided by it, negative ones multiplied."""
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    """Subtracted from the logit of each token that the answer holds."""
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    """Subtracted for each time the answer holds the token."""
    logit_bias: dict[TokenKey, Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=1024
    )
    """Token id -> what is added to its logit."""
    stop: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = Field(
        default=(), max_length=16
    )
    stop_token_ids: tuple[TokenId, ...] = Field(default=(), max_length=64)
    ignore_eos: bool = False
    """Go on after an end-of-sequence token."""
    min_new_tokens: int = Field(default=0, ge=0, le=MAX_NEW_TOKENS)
    """Before so many nothing ends the answer but a whole document of `json_schema`."""
    logprobs: int | None = Field(default=None, ge=0, le=20)
    """Tell each token's log-probability, and those of so many of the likeliest at its place: of the model's
    own distribution, before penalties and temperature. At most 65,536 in all for `max_new_tokens`."""
    json_schema: Annotated[str, StringConstraints(max_length=MAX_JSON_SCHEMA_CHARACTERS)] | None = None
    """A JSON schema, as text, that the answer fits unless something cuts it short."""


class ChatTurn(Part):
    """One turn of a conversation."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    content: str


EXCERPT_HEAD_CHARACTERS, EXCERPT_TAIL_CHARACTERS = 1500, 500
"""Of a prompt, that its meaning is judged by: what is wanted stands at an end of it."""
EXCERPT_CHARACTERS = EXCERPT_HEAD_CHARACTERS + EXCERPT_TAIL_CHARACTERS + 1


def excerpt(text: str) -> str:
    """The text, or where it is long its beginning and its end."""
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    return f"{text[:EXCERPT_HEAD_CHARACTERS]} {text[-EXCERPT_TAIL_CHARACTERS:]}"


RequestDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 bits in hex: whoever makes it compares it, so how is his affair."""


class PayloadRef(Part):
    """Text kept in the payload store because it is too big for a message."""

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: int = Field(ge=0)
    excerpt: Annotated[str, StringConstraints(max_length=EXCERPT_CHARACTERS)] = ""
    """Of a prompt its beginning and its end: its meaning is judged by that. Empty: it is not known."""


RunSeconds = Annotated[float, Field(gt=0.0, le=86_400.0, allow_inf_nan=False)]
"""Of one row: a day is longer than any answer takes."""


class Job(Message):
    """One piece of work. Exactly one of `prompt`, `messages` and `prompt_ref` is given."""

    id: JobId
    prompt: str | None = None
    messages: tuple[ChatTurn, ...] | None = Field(default=None, min_length=1)
    prompt_ref: PayloadRef | None = None
    template: Literal["adapter", "none"] = "adapter"
    """Whether a plain prompt is put into the adapter's own prompt template, if it has one."""
    composition: Composition | None = None
    """Several weighted adapters, instead of the one in the subject, which begins with `+` then."""
    sampling: Sampling = Field(default_factory=Sampling)  # a default would be copied deeply, for 10 us
    created_at: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)  # unix seconds
    deadline: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)  # unix seconds
    session: SessionName | None = None
    """Jobs of one session keep its adapter, and its worker while that costs less than moving."""
    task: Annotated[str, StringConstraints(max_length=256)] | None = None
    request_digest: RequestDigest | None = None
    """Of what was asked under an idempotency key; the result repeats it, so that another request under the
    same key is found out."""
    metadata: dict[str, str] = Field(default_factory=dict, max_length=64)
    retry: Retry | None = None
    """What is to be done when it fails in a way that may pass; None: as its tenant, or the yard, has it."""
    start_by: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)  # unix seconds
    """A job whose first attempt has not begun by then expires; once begun it may take its time."""
    run_limit_seconds: RunSeconds | None = None
    """It ends so long after its first step with what it has, and `finish_reason` `time`."""
    run_limit_hard_seconds: RunSeconds | None = None
    """It fails so long after its first step, as `run_limit`."""
    stream: bool = False
    """Whether its tokens and its progress are told while it runs (`TokenEvent`)."""

    correlation_id: CorrelationId | None = None
    """What the caller knows it by, told in events, records, result and logs."""
    traceparent: Traceparent | None = None
    """The W3C trace context of the caller; its trace id is told likewise."""

    @model_validator(mode="after")
    def _one_prompt(self) -> Job:
        given = [self.prompt is not None, self.messages is not None, self.prompt_ref is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of prompt, messages and prompt_ref")
        return self


def _or_nothing(given: object, read: ValidatorFunctionWrapHandler) -> str | None:
    """What is wrong here must not hide the id."""
    try:
        text: str | None = read(given)
    except ValueError:
        return None
    return text


class JobStub(Part):
    """As much of a malformed job as is needed to answer it: its id, whatever version of a job it is, and what
    its caller knows it by."""

    id: JobId
    correlation_id: Annotated[CorrelationId | None, WrapValidator(_or_nothing)] = None
    traceparent: Annotated[Traceparent | None, WrapValidator(_or_nothing)] = None
