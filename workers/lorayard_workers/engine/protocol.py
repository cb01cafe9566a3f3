"""The contract between a worker's service and whatever generates text.

An engine owns its threads. Every method may be called from any thread and returns without waiting for
model work; outcomes come back through the sink that was given with the request, on a thread of the
engine's choosing. So the event loop of the service never blocks.

Long, for whoever writes another engine has to read all of it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lorayard_schemas.composition import CompositionPolicy as CompositionPolicy
from lorayard_schemas.composition import MajoritySign as MajoritySign
from lorayard_shared.metrics.histogram import Counts
from lorayard_shared.value import value
from lorayard_workers.pulse import Pulse


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
Sink = Callable[[Outcome], None]


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


OnTokens = Callable[[TokenChunk], None]


@value
class StepCounts:
    """Steps of an engine since its start."""

    times: Counts  # seconds, by the buckets of `lorayard_worker_step_seconds`
    tokens: int  # computed in them, of prompts and answers


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """One device slot as advertised."""

    digest: str
    rows: int  # rows that use it now; 0 makes it a possible victim
    last_used: float  # unix seconds
    pinned: bool = False
    columns: int = 0  # that it takes of `Residency.columns_total`


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """What an engine holds: an immutable snapshot, replaced whole."""

    slots: tuple[SlotView, ...] = ()
    slot_count: int = 0  # adapters at once; fewer where their ranks fill the columns
    pinned: frozenset[str] = frozenset()  # in a slot for good, or on the way there
    columns_used: int = 0  # of the slots: an adapter takes its rank, rounded up to 8
    columns_total: int = 0
    host: frozenset[str] = frozenset()
    loading: frozenset[str] = frozenset()  # on the way into host memory
    dedicated: str | None = None  # the adapter that is folded into the base weights now
    serves_only: str | None = None  # the adapter that is, or will be: requests for others are refused
    rows_running: int = 0
    rows_max: int = 0
    queued: int = 0  # submitted, no row yet
    adapter_rows: int = 0  # rows started with an adapter, since start
    slot_hits: int = 0  # rows that found their adapter in a slot (`SLOT`, `MERGED`), since start
    slot_loads: int = 0  # copies into a slot, since start
    disk_loads: int = 0
    evictions: int = 0  # of slots
    load_ms_host: float = 0.0  # EWMA of host -> slot
    load_ms_disk: float = 0.0  # EWMA of disk -> host
    slot_bytes: int = 0
    host_bytes: int = 0
    host_room: int = 0  # adapters that host memory has room for before any has to make way
    kv_blocks: int = 0  # of the key-value cache
    kv_blocks_used: int = 0  # by rows
    prefix_hits: int = 0  # rows that started with blocks of earlier rows, since start
    prefix_tokens: int = 0  # that they did not compute
    preemptions: int = 0  # rows that gave their blocks back and were computed again, since start
    composes: bool = False  # whether requests may name several adapters
    evicted_in_use_lately: int = 0  # of the evictions: within 10 s of their last use
    evicted_wanted_again: int = 0  # that came back to a slot within 10 s
    steps: StepCounts | None = None  # None: it does not time them


class Engine(Protocol):
    """Generates text for rows of many adapters at once."""

    @property
    def base_digest(self) -> str:
        """Content digest of the base model (`sha256:...`)."""
        ...

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion."""
        ...

    def start(self) -> None:
        """Start the engine's threads. Call once."""
        ...

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End the threads after the step in progress; requests not finished get no outcome.

        May be called from a sink or `on_tokens`: then it does not wait for the thread that it is on.
        """
        ...

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        """Queue a request; exactly one outcome reaches `sink` unless the engine is stopped.

        Whatever `sink` raises ends in the log: it is called on a thread that all requests share.

        `on_tokens` is called on the engine's thread after each step that gave the row tokens, or took in a
        part of its prompt (more seldom with `chunk_seconds`): never after its outcome, never once `cancel`
        was called. It must only hand over: one that raises, or takes a second in all, is called no more, and
        the log says so. The row goes on without it.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """End a request between two steps; unknown ids are ignored."""
        ...

    def withdraw(self, request_id: str) -> None:
        """End a request if its row has not started, as retryable (`WITHDRAWN`); one that has runs on.

        Unknown ids are ignored.
        """
        ...

    def prefetch(self, digest: str) -> None:
        """Bring an adapter to host memory while rows decode; failures only show in the log."""
        ...

    def dedicate(self, digest: str | None) -> None:
        """Serve one adapter only, folded into the base weights; None: all of them again, as if never merged.

        Takes effect between two steps, after the rows that run have ended; `Residency.dedicated` shows it.
        From this call on requests for anything else fail as retryable (`worker_dedicated`), and after
        `dedicate(None)` none does: they wait. A merge that fails only shows in the log, and ends that.
        """
        ...

    def pin(self, digest: str) -> None:
        """Bring an adapter into a slot as soon as one can be freed, and keep it there.

        Raises CapacityError if so many pins leave no slot for others. A pin whose rank turns out too large
        beside the others, or that cannot be loaded, is dropped: the log says so, `Residency.pinned` lacks it.
        """
        ...

    def unpin(self, digest: str) -> None:
        """Let an adapter be evicted like any other; unknown ones are ignored."""
        ...

    def preload(self, digest: str) -> None:
        """Bring an adapter into a slot while rows decode, if free room and idle adapters make way for it.

        Else it stays in host memory. Failures only show in the log.
        """
        ...

    def unload(self, digest: str) -> None:
        """Unpin an adapter, and free its slot and host memory as soon as no row uses or awaits it."""
        ...

    def weigh(self, doublings: Mapping[str, float]) -> None:
        """Have adapters leave slots and host memory later, or sooner: by digest, doublings of what their uses
        count (+1: two for one), instead of those told before."""
        ...

    def residency(self) -> Residency:
        """What is held now; cheap enough to call for every advert."""
        ...

    def alive(self) -> bool:
        """Whether the engine's threads run, and not every step fails."""
        ...

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """Signs of progress of the threads that requests depend on: one that hangs shows there."""
        ...
