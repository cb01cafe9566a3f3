"""The context is the least of three bounds, and says which."""

from __future__ import annotations

import pytest

from lorayard_workers.engine.context import fit_context


@pytest.mark.parametrize(
    ("wanted", "cache", "tokens", "bound_by"),
    [
        (None, 58_176, 32_768, "the model itself"),  # Gemma 270M as it comes
        (1000, 58_176, 1000, "LORAYARD_CONTEXT_TOKENS 1000"),
        (8000, 4096, 4096, "LORAYARD_KV_BYTES 77"),
        (None, 4096, 4096, "LORAYARD_KV_BYTES 77"),
    ],
)
def test_the_least_bound_is_named(wanted: int | None, cache: int, tokens: int, bound_by: str) -> None:
    context = fit_context(model_tokens=32_768, wanted_tokens=wanted, kv_bytes=77, cache_tokens=cache)
    assert (context.tokens, context.bound_by) == (tokens, bound_by)
