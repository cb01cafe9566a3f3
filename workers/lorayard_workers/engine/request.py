"""What an engine is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorayard_schemas.composition import CompositionPolicy as CompositionPolicy
from lorayard_schemas.composition import MajoritySign as MajoritySign
from lorayard_shared.value import value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn. `temperature` 0 is greedy; `top_k` 0 keeps all tokens.

    The order is transformers': logit_bias, repetition_penalty, presence_penalty and frequency_penalty,
    min_new_tokens, json_schema, then temperature, top_k, top_p, min_p.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0  # least probability kept, as a share of the likeliest token's
    seed: int | None = None
    repetition_penalty: float = 1.0  # transformers': over prompt and output
    presence_penalty: float = 0.0  # OpenAI's, as the next: over the output
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()  # (token id, added to its logit)
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False  # go on after an end-of-sequence token
    min_new_tokens: int = 0  # before these nothing ends the row but its context
    logprobs: int | None = None
    """Alternatives told for each token, 0 to 20; None: no log-probabilities. They are those of the model's
    own distribution: before penalties, temperature and filters."""
    json_schema: str | None = None
    """A JSON schema that the answer fits. The row ends with its document, however short; a stop string, a
    stop token or `max_new_tokens` can cut it short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedAdapter:
    """A part of a composition: an adapter's digest and what its update is multiplied by (not 0)."""

    digest: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Several adapters on one request. Settings that the policy has no use for must be None."""

    parts: tuple[WeightedAdapter, ...]  # the order counts for `priority` only
    policy: CompositionPolicy = CompositionPolicy.SUM
    density: float | None = None  # share of values kept, 0 < density <= 1: ties, dare_*, magnitude_prune
    majority_sign: MajoritySign | None = None  # ties, dare_ties; None is `total`
    svd_rank: int | None = None  # svd; None is the largest rank of the parts
    seed: int | None = None  # dare_*; None is 0: the same recipe gives the same weights everywhere


@value
class GenerationRequest:
    """One row for the engine. `adapter` is a content digest; without it and `composition`, the base model."""

    request_id: str
    prompt: str | tuple[ChatMessage, ...]
    adapter: str | None = None
    composition: Composition | None = None  # instead of `adapter`
    sampling: Sampling = field(default_factory=Sampling)
    deadline: float | None = None  # unix seconds: a row past it is ended between two steps
    start_by: float | None = None  # unix seconds: the same of a row that has not started
    run_seconds: float | None = None  # after its first step it ends with what it has
    run_hard_seconds: float | None = None  # after its first step it fails, as `run_limit`
    chunk_seconds: float = 0.0
    """Between two chunks of its tokens at least, but for the first and the last: decoding is done for several
    tokens at once then, and for all rows in the same steps."""
