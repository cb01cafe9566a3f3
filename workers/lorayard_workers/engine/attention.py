"""Attention over our own cache, plugged into unmodified transformers models by its public interface."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from lorayard_workers.engine.attention_reads import Reads
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
    tokens = len(plan.index)
    new_keys, new_values = (new[0, :, :tokens].transpose(0, 1) for new in (key, value))
    context.cache.write(layer, plan.index, new_keys, new_values)
    outputs: list[Tensor] = []
    if plan.singles is not None:
        few = query[0, :, : len(plan.singles.places)].transpose(0, 1)
        outputs.append(_singles(few, context.cache, layer, plan.singles.reads(sliding_window), scaling))
    for span in plan.spans:
        many = slice(span.first, span.first + span.place.tokens)
        read = span.read(sliding_window)
        if span.place.start == 0:  # all that it sees is at hand
            keys, values = key[0, :, many], value[0, :, many]
        else:
            keys, values = (t[0, :, : read.length] for t in context.cache.read(layer, read.blocks, rows=1))
        outputs.append(_span(query[:, :, many], keys, values, read.mask, scaling))
    if plan.padding:
        outputs.append(outputs[0].new_zeros(plan.padding, *outputs[0].shape[1:]))
    return (torch.cat(outputs) if len(outputs) > 1 else outputs[0]).unsqueeze(0), None


def _singles(query: Tensor, cache: KvCache, layer: int, reads: Reads, scaling: float | None) -> Tensor:
    """query is [n, heads, width]. The query heads of one kv head act as its queries."""
    outputs: list[Tensor] = []
    for read in reads.groups:
        few = (
            query if len(reads.groups) == 1 and reads.inverse is None else query.index_select(0, read.tokens)
        )
        if read.rows is not None:
            few = few.new_zeros(read.row_count, *few.shape[1:]).index_copy_(0, read.rows, few)
        keys, values = cache.read(layer, read.blocks, rows=read.row_count)
        found = scaled_dot_product_attention(
            few.reshape(read.row_count, keys.shape[1], -1, few.shape[-1]),
            keys,
            values,
            attn_mask=read.mask,
            scale=scaling,
        ).reshape(few.shape)
        outputs.append(found if read.rows is None else found.index_select(0, read.rows))
    joined = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    return joined if reads.inverse is None else joined.index_select(0, reads.inverse)


def _span(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """query is [1, heads, tokens, width], keys and values [kv heads, length, width]."""
    share = query.shape[1] // keys.shape[0]  # query heads per kv head
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
