"""The context is the least of three bounds, and says which."""

from __future__ import annotations

import pytest

from lorayard_workers.engine.context import fit_context


@pytest.mark.parametrize(
    ("wanted", "kv_bytes", "tokens", "bound_by"),
    [
        (None, 1 << 30, 3640, "LORAYARD_KV_BYTES 1073741824 over LORAYARD_ROWS 16"),  # Gemma 270M as it comes
        (1000, 1 << 30, 1000, "LORAYARD_CONTEXT_TOKENS 1000"),
        (8000, 1 << 30, 3640, "LORAYARD_KV_BYTES 1073741824 over LORAYARD_ROWS 16"),
        (None, 1 << 40, 32_768, "the model itself"),
    ],
)
def test_the_least_bound_is_named(wanted: int | None, kv_bytes: int, tokens: int, bound_by: str) -> None:
    context = fit_context(
        model_tokens=32_768, wanted_tokens=wanted, kv_bytes=kv_bytes, rows=16, token_bytes=18_432
    )
    assert (context.tokens, context.bound_by) == (tokens, bound_by)
