"""Judges a request and turns its prompt into tokens, on the loader thread."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.composition import check_adapters
from lorayard_workers.engine.context import Context
from lorayard_workers.engine.grammar import Grammar, Grammars
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import ChatMessage, GenerationRequest, Sampling
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.sampling import TokenSampler
from lorayard_workers.engine.sampling_rules import check_sampling
from lorayard_workers.engine.text import TextStream, TokenTexts
from lorayard_workers.errors import AdapterUnknownError, CapacityError, RequestRefusedError


class Preparation:
    """What requests are judged by and turned into rows with: one for each engine."""

    def __init__(
        self, base: BaseModel, context: Context, known: Container[str], grammars: Grammars | None
    ) -> None:
        """`grammars` None: JSON schemas are refused."""
        self._base = base
        self._context = context
        self._known = known
        self._grammars = grammars
        self._token_texts = TokenTexts(base.tokenizer)
        self._embedded = len(base.model.get_input_embeddings().weight)
        self._longest_token = max(map(len, base.tokenizer.get_vocab()))

    def prepare(self, row: Row) -> None:
        """Fill in what the engine needs. Raises RequestRefusedError or AdapterUnknownError."""
        request = row.request
        sampling = request.sampling
        check_sampling(sampling, vocabulary=int(self._base.model.config.vocab_size))
        if not request.prompt:
            raise RequestRefusedError(
                "empty_prompt", "the prompt is empty: send at least one character", field="prompt"
            )
        if request.deadline is not None and math.isnan(request.deadline):
            raise RequestRefusedError("bad_deadline", "the deadline is no moment in time", field="deadline")
        check_adapters(request, self._known)
        row.prompt_ids = self._prompt_ids(request)
        row.end_ids = self._end_ids(sampling)
        row.sampler = TokenSampler(
            sampling, prompt_ids=row.prompt_ids, end_ids=sorted(row.end_ids), grammar=self._grammar(sampling)
        )
        row.text = TextStream(
            self._token_texts,
            sampling.stop,
            unstoppable_tokens=sampling.min_new_tokens,
        )

    def _prompt_ids(self, request: GenerationRequest) -> list[int]:
        context = self._context
        check_text(request.prompt, context, self._longest_token)
        ids = self._base.prompt_ids(request.prompt)
        if not ids:
            raise RequestRefusedError("empty_prompt", "the prompt has no tokens", field="prompt")
        if max(ids) >= self._embedded:
            raise RequestRefusedError(
                "bad_prompt_token",
                f"the prompt has token {max(ids)} ({self._token_texts.of(max(ids))!r}), for which the model "
                f"has no embedding: it knows {self._embedded}",
                field="prompt",
            )
        if len(ids) >= context.tokens:
            raise RequestRefusedError(
                "prompt_too_long",
                f"the prompt has {len(ids)} tokens; with room for an answer this worker holds "
                f"{context.tokens - 1} (context {context.tokens}, bound by {context.bound_by})",
                field="prompt",
            )
        return ids

    def _grammar(self, sampling: Sampling) -> Grammar | None:
        if sampling.json_schema is None:
            return None
        if self._grammars is None:
            raise RequestRefusedError(
                "json_schema_unsupported",
                "this worker takes no JSON schemas: its setting json_schemas is off",
                field="sampling.json_schema",
            )
        return self._grammars.grammar(sampling.json_schema)

    def _end_ids(self, sampling: Sampling) -> frozenset[int]:
        stop = frozenset(sampling.stop_token_ids)
        return stop if sampling.ignore_eos else stop | self._base.eos_ids


def check_text(prompt: str | Sequence[ChatMessage], context: Context, longest_token: int) -> None:
    """Raises RequestRefusedError for what cannot become tokens, or surely becomes too many.

    Turning a text into tokens takes seconds for each MB, and every other request waits for it. So one that is
    longer than a context of nothing but the longest tokens, in characters, is refused before.
    """
    texts = [prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]
    length, most = sum(map(len, texts)), context.tokens * longest_token
    if length > most:
        raise RequestRefusedError(
            "prompt_too_long",
            f"the prompt has {length} characters; with room for an answer this worker holds "
            f"{context.tokens - 1} tokens (context {context.tokens}, bound by {context.bound_by}) of at most "
            f"{longest_token} characters",
            field="prompt",
        )
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise RequestRefusedError(
            "bad_prompt",
            f"the prompt is no valid text at character {error.start}: {error.reason}",
            field="prompt",
        ) from error


def failure_of(row: Row, error: Exception) -> Failed:
    """The outcome that an error on the way to the engine means for a request."""
    permanent = FailureKind.PERMANENT
    adapter = "adapter" if row.request.composition is None else "composition"
    if isinstance(error, RequestRefusedError):
        return row.failed(permanent, error.code, error.message, at=error.field)
    if isinstance(error, AdapterUnknownError):
        return row.failed(permanent, "unknown_adapter", str(error), at=adapter)
    if isinstance(error, AdapterRefusedError):
        return row.failed(permanent, "adapter_refused", str(error), at=adapter)
    if isinstance(error, CapacityError):
        return row.failed(permanent, "adapter_too_large", str(error), at=adapter)
    message = f"{type(error).__name__}: {error}"
    return row.failed(FailureKind.RETRYABLE, "engine_error", message)
