"""A request on its way through the engine, from submit to its one outcome."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lorayard_workers.engine.outcome import (
    Cancelled,
    DeadlinePassed,
    Failed,
    FailureKind,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
    TokenLogprob,
    ran_too_long,
    withdrawn,
)
from lorayard_workers.engine.protocol import Sink
from lorayard_workers.engine.recipe import recipe_digest
from lorayard_workers.engine.request import CompositionPolicy, GenerationRequest, WeightedAdapter
from lorayard_workers.engine.sampling import Chosen, TokenSampler
from lorayard_workers.engine.text import TextStream
from lorayard_workers.engine.token_feed import TokenFeed
from lorayard_workers.memory.columns import Use


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """One thread owns a row at a time; only `cancelled` and `withdrawn` are set from others."""

    request: GenerationRequest
    sink: Sink
    feed: TokenFeed | None = None  # where the caller wants tokens as they come
    submitted: float = field(default_factory=time.perf_counter)
    cancelled: bool = False
    withdrawn: bool = False  # counts until it has started

    # set when the prompt has become tokens
    prompt_ids: list[int] = field(default_factory=list[int])
    sampler: TokenSampler | None = None
    text: TextStream | None = None
    end_ids: frozenset[int] = frozenset()  # tokens that end it

    # set on the way into a slot
    tier: Tier = Tier.NONE
    load_started: float | None = None
    load_ms: float = 0.0
    columns: Use | None = None

    # what its tokens are computed with: from the request alone
    adapters: tuple[WeightedAdapter, ...] = field(init=False)
    kv_key: str | None = field(init=False)  # equal for rows whose keys and values are; None: the base model

    # set while it runs
    number: int = 0  # of the start; gives the order of prefill
    started: float = 0.0
    first_token: float | None = None
    cached_tokens: int = 0  # that the cache holds, of prompt and output
    kept_blocks: int = 0  # of them, offered to rows that begin the same
    reused_tokens: int = 0  # of the prompt, that the cache held when the row started
    output_ids: list[int] = field(default_factory=list[int])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])

    def __post_init__(self) -> None:
        composition, adapter = self.request.composition, self.request.adapter
        self.kv_key = adapter if composition is None else recipe_digest(composition)
        if composition is not None and composition.policy is CompositionPolicy.SUM:
            self.adapters = composition.parts
        else:  # other policies derive one adapter, known by the recipe's digest
            self.adapters = () if self.kv_key is None else (WeightedAdapter(digest=self.kv_key),)

    @property
    def parts(self) -> tuple[str, ...]:
        """Adapters that must be in slots while it runs."""
        return tuple(adapter.digest for adapter in self.adapters)

    @property
    def adapter_field(self) -> str | None:
        """The field of the request that names adapters; None for the base model."""
        if self.request.composition is not None:
            return "composition"
        return None if self.request.adapter is None else "adapter"

    @property
    def missing_tokens(self) -> int:
        """That the cache lacks: one for a row that decodes, more while a prompt is taken in."""
        return self.total_tokens - self.cached_tokens

    @property
    def total_tokens(self) -> int:
        """Prompt and output so far."""
        return len(self.prompt_ids) + len(self.output_ids)

    @property
    def used_tokens(self) -> int:
        """Computed so far, once each: what a row computes again after it gave way is not its own doing."""
        prompt = len(self.prompt_ids) if self.output_ids else min(self.cached_tokens, len(self.prompt_ids))
        return max(0, prompt - self.reused_tokens) + len(self.output_ids)

    def take(self, chosen: Chosen) -> FinishReason | None:
        """Add the next token; why the row ends with it, None if it goes on."""
        assert self.text is not None  # prepared with the prompt
        assert self.sampler is not None
        self.output_ids.append(chosen.token)
        self.sampler.took(chosen.token)
        self.first_token = self.first_token or time.perf_counter()
        told = None if chosen.logprob is None else self.text.told(chosen.logprob)
        if told is not None:
            self.logprobs.append(told)
        if self.feed is not None:
            self.feed.hold(chosen.token, told)
        if chosen.token in self.end_ids or self.text.push(chosen.token) or self.sampler.ended:
            return FinishReason.STOP
        full = len(self.output_ids) >= self.request.sampling.max_new_tokens
        return FinishReason.LENGTH if full else None

    def deliver(self) -> None:
        """Give the tokens taken since the last call, or before them how much of the prompt was read, to
        whoever wanted them as they come."""
        if self.feed is None or self.text is None or self.cancelled or not self.feed.is_due():
            return
        if self.output_ids:
            self.feed.deliver(self.text.take())
        else:
            self.feed.tell_prompt(self.cached_tokens, len(self.prompt_ids))

    def tokens(self, start: int, stop: int) -> list[int]:
        """Of prompt and output, by position."""
        prompt = len(self.prompt_ids)
        return self.prompt_ids[start:stop] + self.output_ids[max(0, start - prompt) : max(0, stop - prompt)]

    def waited_seconds(self) -> float:
        """Since submit."""
        return time.perf_counter() - self.submitted

    def ended_by_caller(self, now: float) -> Outcome | None:
        """The outcome if the request was cancelled or its deadline has passed at unix time `now`."""
        if self.cancelled:
            return Cancelled(request_id=self.request.request_id, used_tokens=self.used_tokens)
        if self.request.deadline is not None and self.request.deadline <= now:
            return DeadlinePassed(request_id=self.request.request_id, used_tokens=self.used_tokens)
        return None

    def ended_by_time(self) -> Outcome | None:
        """The outcome of a started row that ran as long as it may; what it waited in between counts too."""
        request = self.request
        if request.run_seconds is None and request.run_hard_seconds is None:
            return None
        ran = time.perf_counter() - self.started
        if request.run_hard_seconds is not None and ran >= request.run_hard_seconds:
            return ran_too_long(request.request_id, request.run_hard_seconds)
        if request.run_seconds is not None and ran >= request.run_seconds:
            return self.succeeded(FinishReason.TIME)
        return None

    def ended_unstarted(self, now: float) -> Outcome | None:
        """The same of a row that has not started, which may have been withdrawn as well."""
        ended = self.ended_by_caller(now)
        if ended is None and self.request.start_by is not None and self.request.start_by <= now:
            return DeadlinePassed(request_id=self.request.request_id)
        return withdrawn(self.request.request_id) if ended is None and self.withdrawn else ended

    def succeeded(self, reason: FinishReason) -> Succeeded:
        """The outcome of a generation that has ended."""
        assert self.text is not None  # set with the prompt
        text, stopped = self.text.finish()
        if self.feed is not None:
            self.feed.over = True
        now = time.perf_counter()
        return Succeeded(
            request_id=self.request.request_id,
            text=text,
            finish_reason=FinishReason.STOP if stopped else reason,
            prompt_tokens=len(self.prompt_ids),
            completion_tokens=len(self.output_ids),
            cached_tokens=self.reused_tokens,
            tier=self.tier,
            logprobs=None if self.request.sampling.logprobs is None else tuple(self.logprobs),
            adapters=self.adapters,
            timings=Timings(
                queued_ms=(self.started - self.submitted) * 1000,
                load_ms=self.load_ms,
                first_token_ms=((self.first_token or now) - self.submitted) * 1000,
                total_ms=(now - self.submitted) * 1000,
            ),
        )

    def failed(self, kind: FailureKind, code: str, message: str, *, at: str | None = None) -> Failed:
        """The outcome of a request that was refused or broke; `at` is the field at fault."""
        return Failed(request_id=self.request.request_id, kind=kind, code=code, message=message, field=at)
