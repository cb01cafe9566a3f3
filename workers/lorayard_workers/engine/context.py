"""How long prompt and answer may be together, and which setting says so. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Prompt plus completion of one row, and what an operator would change for more."""

    tokens: int
    bound_by: str


def fit_context(*, model_tokens: int, wanted_tokens: int | None, kv_bytes: int, cache_tokens: int) -> Context:
    """The least of the model's context, the setting and the whole cache: a row may have all of it."""
    bounds = [
        Context(tokens=model_tokens, bound_by="the model itself"),
        Context(tokens=cache_tokens, bound_by=f"LORAYARD_KV_BYTES {kv_bytes}"),
    ]
    if wanted_tokens is not None:
        bounds.append(Context(tokens=wanted_tokens, bound_by=f"LORAYARD_CONTEXT_TOKENS {wanted_tokens}"))
    return min(bounds, key=lambda bound: bound.tokens)
