"""Attention over our own cache, plugged into unmodified transformers models by its public interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from lorayard_workers.engine.attention_plan import Singles, Span
from lorayard_workers.engine.kv_cache import KvCache
from lorayard_workers.engine.step_context import StepContext

NAME = "lorayard"
CONTEXT_ATTRIBUTE = "lorayard_step"
"""Where the runner leaves its StepContext on each attention module: two engines can share a process."""

_NOT_IMPLEMENTED = ("softcap", "s_aux", "head_mask")


def cached_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention function.

    query is [1, heads, tokens, width], key and value have the kv heads; returns [1, tokens, heads, width].
    """
    assert attention_mask is None  # the plan knows better; transformers makes no mask for our name
    for name in _NOT_IMPLEMENTED:
        if kwargs.get(name) is not None:
            raise NotImplementedError(f"attention with {name}")
    context: StepContext = getattr(module, CONTEXT_ATTRIBUTE)
    plan, layer = context.attention, int(module.layer_idx)
    assert plan is not None  # set by the runner before every forward
    context.cache.write(layer, plan.index, key[0].transpose(0, 1), value[0].transpose(0, 1))
    outputs: list[Tensor] = []
    if plan.singles is not None:
        few = query[0, :, : len(plan.singles.rows)].transpose(0, 1)
        outputs.append(_singles(few, context.cache, layer, plan.singles, scaling, sliding_window))
    for span in plan.spans:
        many = query[:, :, span.first : span.first + span.place.tokens]
        outputs.append(_span(many, context.cache, layer, span, scaling, sliding_window))
    return torch.cat(outputs).unsqueeze(0), None


def _singles(
    query: Tensor,
    cache: KvCache,
    layer: int,
    singles: Singles,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """query is [n, heads, width]. The query heads of one kv head act as its queries."""
    keys = cache.keys[layer][: singles.row_count, : singles.length].transpose(1, 2)
    values = cache.values[layer][: singles.row_count, : singles.length].transpose(1, 2)
    by_row = query.new_zeros(singles.row_count, *query.shape[1:])
    by_row.index_copy_(0, singles.rows, query)
    found = scaled_dot_product_attention(
        by_row.view(singles.row_count, keys.shape[1], -1, query.shape[-1]),
        keys,
        values,
        attn_mask=singles.mask(window),
        scale=scaling,
    )
    return found.reshape(by_row.shape).index_select(0, singles.rows)


def _span(
    query: Tensor, cache: KvCache, layer: int, span: Span, scaling: float | None, window: int | None
) -> Tensor:
    """query is [1, heads, tokens, width]; returns [tokens, heads, width]."""
    place = span.place
    keys = cache.keys[layer][place.row, : place.stop].transpose(0, 1)
    values = cache.values[layer][place.row, : place.stop].transpose(0, 1)
    share = query.shape[1] // keys.shape[0]  # query heads per kv head
    mask = span.mask(window)
    found = scaled_dot_product_attention(
        query,
        keys.repeat_interleave(share, 0).unsqueeze(0),
        values.repeat_interleave(share, 0).unsqueeze(0),
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
    )
    return found[0].transpose(0, 1)


AttentionInterface.register(NAME, cached_attention)
