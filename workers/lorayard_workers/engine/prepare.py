"""Judges a request and turns its prompt into tokens, on the loader thread."""

from __future__ import annotations

import math
from collections.abc import Container

from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.composition import check_adapters
from lorayard_workers.engine.context import Context
from lorayard_workers.engine.protocol import Failed, FailureKind, Sampling
from lorayard_workers.engine.row import Row
from lorayard_workers.engine.sampling import TokenSampler
from lorayard_workers.engine.text import TextStream
from lorayard_workers.errors import (
    AdapterRefusedError,
    AdapterUnknownError,
    CapacityError,
    RequestRefusedError,
)

MAX_STOP_STRINGS = 16
"""Each is searched for after every token; OpenAI allows 4."""


def prepare(row: Row, base: BaseModel, context: Context, known: Container[str]) -> None:
    """Fill in what the engine needs. Raises RequestRefusedError or AdapterUnknownError."""
    request = row.request
    check_sampling(request.sampling)
    if not request.prompt:
        raise RequestRefusedError(
            "empty_prompt", "the prompt is empty: send at least one character", field="prompt"
        )
    check_adapters(request, known)
    if request.composition is not None:
        raise RequestRefusedError(
            "composition_unsupported", "this worker composes no adapters", field="composition"
        )
    ids = base.prompt_ids(request.prompt)
    if not ids:
        raise RequestRefusedError("empty_prompt", "the prompt has no tokens", field="prompt")
    if len(ids) >= context.tokens:
        raise RequestRefusedError(
            "prompt_too_long",
            f"the prompt has {len(ids)} tokens; with room for an answer this worker holds "
            f"{context.tokens - 1} (context {context.tokens}, bound by {context.bound_by})",
            field="prompt",
        )
    row.prompt_ids = ids
    row.sampler = TokenSampler(request.sampling)
    row.text = TextStream(base.tokenizer, request.sampling.stop)


def check_sampling(sampling: Sampling) -> None:
    """Every setting is usable. Raises RequestRefusedError naming the one that is not."""
    rules = (
        ("max_new_tokens", sampling.max_new_tokens >= 1, "at least 1"),
        (
            "temperature",
            math.isfinite(sampling.temperature) and sampling.temperature >= 0,
            "0 or more",
        ),
        ("top_p", 0 < sampling.top_p <= 1, "over 0 and at most 1"),
        ("top_k", sampling.top_k >= 0, "0 (all) or more"),
        ("stop", all(sampling.stop), "without empty strings"),
        ("stop", len(sampling.stop) <= MAX_STOP_STRINGS, f"at most {MAX_STOP_STRINGS} strings"),
    )
    for name, fine, wanted in rules:
        if not fine:
            raise RequestRefusedError(
                "bad_sampling",
                f"sampling.{name} is {getattr(sampling, name)!r:.80}: it must be {wanted}",
                field=f"sampling.{name}",
            )


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
