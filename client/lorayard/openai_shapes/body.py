"""The bodies of OpenAI's completions, as far as the yard can do what they ask.

Unknown fields are refused. A field that is null is as one that is not there, as official clients send it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, JsonValue, model_validator

from lorayard.openai_shapes.asked import MOST_CHOICES
from lorayard.request import LaneName

MOST_ENTRIES = 2048
"""Of any list or object in a body, as OpenAI has it for messages: every entry at fault is judged and told,
and four megabytes of them would hold up everybody for ten seconds."""

MOST_MODEL_CHARACTERS = 4096
"""As many adapters as a composition takes, with the longest names and their weights."""


def _few(given: Any) -> Any:
    """Counted before it is read."""
    if isinstance(given, list | dict) and len(given) > MOST_ENTRIES:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError(f"more than {MOST_ENTRIES} entries")
    return given  # pyright: ignore[reportUnknownVariableType]


Few = BeforeValidator(_few)


class _Part(BaseModel):
    """Frozen, strict, and nothing in it is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if isinstance(_few(given), dict) and None in given.values():
            return {name: value for name, value in given.items() if value is not None}  # pyright: ignore[reportUnknownVariableType]
        return given


class TextPart(_Part):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(_Part):
    """One turn. `name` and tool calls have no place in a model's chat template here."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str | list[TextPart], Few]

    @property
    def text(self) -> str:
        """Its parts as one."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class SchemaFormat(_Part):
    """A schema that the answer shall fit."""

    name: str = ""
    description: str = ""
    schema_: dict[str, JsonValue] = Field(alias="schema")
    strict: bool = True


class ResponseFormat(_Part):
    """How the answer shall look."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_given(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("a json_schema goes with type json_schema, and only with that")
        return self


class StreamOptions(_Part):
    """What a stream tells besides its text."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class YardOptions(_Part):
    """What only a yard has, under `lorayard`; official clients send it as `extra_body`."""

    lane: LaneName | None = None
    session: str | None = None
    task: str | None = None
    template: Literal["adapter", "none"] = "adapter"
    deadline_seconds: float | None = None
    run_limit_seconds: float | None = None
    composition: Annotated[dict[str, float] | None, Few] = None
    """Adapter -> weight, instead of the one that `model` names, which then only labels the answer."""
    policy: str = "sum"
    density: float | None = None
    majority_sign: Literal["total", "frequency"] | None = None
    svd_rank: int | None = None


def _listed(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


Stops = Annotated[list[str], BeforeValidator(_listed), Few]


class CompletionsBody(_Part):
    """What both kinds have. The last block is what vLLM and others add under the same names."""

    model: str = Field(min_length=1, max_length=MOST_MODEL_CHARACTERS)
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = Field(default=1, ge=1, le=MOST_CHOICES)
    stop: Stops = Field(default_factory=list[str])  # a default that is a list would be copied deeply
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Annotated[dict[str, float] | None, Few] = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    metadata: Annotated[dict[str, str] | None, Few] = None
    user: str | None = None
    """Kept as the job's metadata `user`."""

    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: Annotated[list[int], Few] = Field(default_factory=list[int])
    ignore_eos: bool = False
    min_tokens: int = 0
    lorayard: YardOptions = YardOptions()


class ChatBody(CompletionsBody):
    """Of `/v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], FailFast(), Few]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    response_format: ResponseFormat = ResponseFormat(type="text")
    service_tier: Literal["auto", "default", "flex", "priority"] = "auto"
    """`flex` is the lane bulk, `priority` the lane high."""
    store: Literal[False] = False
    modalities: Annotated[list[Literal["text"]], Few] = Field(default_factory=list[Literal["text"]])
    tools: Annotated[list[JsonValue], Field(max_length=0)] = Field(default_factory=list[JsonValue])
    tool_choice: Literal["none", "auto"] = "none"

    @model_validator(mode="after")
    def _agree(self) -> ChatBody:
        if self.max_tokens is not None and self.max_completion_tokens not in (None, self.max_tokens):
            raise ValueError("max_tokens and max_completion_tokens differ: send one of them")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self


class TextBody(CompletionsBody):
    """Of `/v1/completions`."""

    prompt: Annotated[str | list[str], Few]
    max_tokens: int | None = None
    logprobs: int | None = None
    best_of: int | None = None
    echo: Literal[False] = False
    suffix: Literal[""] = ""

    @model_validator(mode="after")
    def _agree(self) -> TextBody:
        if self.best_of not in (None, self.n):
            raise ValueError("best_of other than n is not offered")
        if isinstance(self.prompt, list) and not 1 <= len(self.prompt) * self.n <= MOST_CHOICES:
            raise ValueError(f"prompts times n are 1 to {MOST_CHOICES}")
        return self
