"""What comes of a request: its tokens on the way, and the one outcome that ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lorayard_shared.value import value
from lorayard_workers.engine.request import WeightedAdapter


class Tier(StrEnum):
    """Where an adapter was found when its first row wanted to start."""

    SLOT = "slot"
    """Resident in a device slot: nothing to load."""
    HOST = "host"
    """Cast and packed in host memory: one copy into a slot."""
    DISK = "disk"
    """Only on disk: read, checked, cast, then copied."""
    MERGED = "merged"
    """Folded into the base weights of an engine that is dedicated to it: nothing to load."""
    NONE = "none"
    """A base-model row: no adapter at all."""


class FinishReason(StrEnum):
    """Why a generation ended."""

    STOP = "stop"
    """End-of-sequence token, a stop token or a stop string."""
    LENGTH = "length"
    """`max_new_tokens`, or the context is full."""
    TIME = "time"
    """`run_seconds` are over."""


WITHDRAWN = "withdrawn"
"""Code of the failure of a request that was withdrawn in time."""


class FailureKind(StrEnum):
    """Who must act on a failure."""

    RETRYABLE = "retryable"
    """Engine or capacity: another attempt may succeed."""
    PERMANENT = "permanent"
    """The request itself: no attempt can succeed."""


@value
class Timings:
    """Where a request's time went, in milliseconds."""

    queued_ms: float = 0.0  # from submit until its row started
    load_ms: float = 0.0  # of that, spent bringing the adapter into a slot
    first_token_ms: float = 0.0  # from submit
    total_ms: float = 0.0  # from submit


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAlternative:
    """A token that could have stood at a place. `text` alone may be half a character, shown as U+FFFD."""

    token_id: int
    text: str
    logprob: float  # natural logarithm, of the model's own distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """The token that was taken at a place; `alternatives` are the likeliest there, in falling order."""

    token_id: int
    text: str
    logprob: float
    alternatives: tuple[TokenAlternative, ...] = ()


@value
class Succeeded:
    """A finished generation."""

    request_id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    tier: Tier
    timings: Timings
    cached_tokens: int = 0  # of the prompt, taken from the prefix cache
    logprobs: tuple[TokenLogprob, ...] | None = None  # one for each completion token, where asked for
    adapters: tuple[WeightedAdapter, ...] = ()  # whose weights made the text: none for the base model

    @property
    def used_tokens(self) -> int:
        """That had to be computed for it."""
        return max(0, self.prompt_tokens - self.cached_tokens) + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A refused or broken generation; `field` names the part of the request at fault, if one is."""

    request_id: str
    kind: FailureKind
    code: str  # stable, snake_case: empty_prompt, prompt_too_long, unknown_adapter, engine_error ...
    message: str  # names the thing and what to do
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A request ended on demand."""

    request_id: str
    used_tokens: int = field(default=0, compare=False)  # computed for it until then, as in `Succeeded`


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """A request whose deadline went by before it could finish."""

    request_id: str
    used_tokens: int = field(default=0, compare=False)  # computed for it until then, as in `Succeeded`


RUN_LIMIT = "run_limit"
"""Code of the failure of a request that ran too long."""


def ran_too_long(request_id: str, seconds: float) -> Failed:
    """What a request comes to whose hard limit is over. Another attempt would take as long again."""
    return Failed(
        request_id=request_id,
        kind=FailureKind.PERMANENT,
        code=RUN_LIMIT,
        message=f"it ran for {seconds:g} s, as long as it may; ask for fewer tokens, or raise the limit",
        field="run_limit_hard_seconds",
    )


def withdrawn(request_id: str) -> Failed:
    """What a request comes to that was withdrawn before its row started."""
    return Failed(
        request_id=request_id,
        kind=FailureKind.RETRYABLE,
        code=WITHDRAWN,
        message="it was taken back before its row started: it can be sent again",
    )


Outcome = Succeeded | Failed | Cancelled | DeadlinePassed


@value
class TokenChunk:
    """What a row has written since its last chunk; the texts of all its chunks together are its text.

    `text` may be empty, or of earlier tokens: what could become a stop string, or is half a character, is
    held back until that is decided. A token that ends the row has no text.

    A prompt that takes several steps gives chunks without tokens, after each step but the last.
    """

    request_id: str
    index: int  # 0, 1, 2 ...
    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None  # of `token_ids`, where asked for
    prompt_done: int = 0  # tokens of the prompt that were read, in a chunk without tokens
    prompt_tokens: int = 0  # all of them
