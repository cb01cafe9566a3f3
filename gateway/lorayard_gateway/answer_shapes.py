"""What answers look like, for the OpenAPI document; `lorayard.openai_shapes` makes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, JsonValue


class ErrorDetail(BaseModel):
    """What went wrong, for programs and for people."""

    message: str
    type: str
    param: str | None
    """The field or header at fault."""
    code: str | None


class ErrorBody(BaseModel):
    """Of every answer from 400 up."""

    error: ErrorDetail


class Health(BaseModel):
    """That it runs."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether requests are worth sending."""

    status: Literal["ok", "unready"]
    missing: list[str]
    """What keeps them from being answered."""


class CachedTokens(BaseModel):
    """Of the prompt, read from a worker's prefix cache."""

    cached_tokens: int


class UsageBody(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class Answers(BaseModel):
    """Who answered each choice: job, adapter, version, digest, rule, worker."""

    answers: list[dict[str, JsonValue]]


class AssistantTurn(BaseModel):
    """What was written."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class _Choice(BaseModel):
    index: int
    finish_reason: Literal["stop", "length"]
    logprobs: dict[str, JsonValue] | None


class ChatChoice(_Choice):
    """One answer of a chat."""

    message: AssistantTurn


class TextChoice(_Choice):
    """One answer of the older call."""

    text: str


class _Completion(BaseModel):
    id: str
    created: int
    model: str
    """Who answered: the version behind an alias, the adapter behind `auto`."""
    usage: UsageBody
    system_fingerprint: str | None
    lorayard: Answers


class ChatCompletion(_Completion):
    """A whole answer."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class TextCompletion(_Completion):
    """A whole answer of the older call."""

    object: Literal["text_completion"]
    choices: list[TextChoice]
