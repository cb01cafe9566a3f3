"""What the untouched model computes for a few tokens, and what its layers ask of attention."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "lorayard_probe"
_ATTRIBUTE = "lorayard_probe"

ROWS, TOKENS = 2, 12
"""Two rows show whether one depends on the other; a dozen tokens are enough for a first chunk, a later one
and a single token, and cost a quarter of a second with a vocabulary of 262,144."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCall:
    """One layer's use of transformers' attention interface."""

    layer: int | None  # None: the module does not say which
    kv_heads: int
    key_width: int
    value_width: int
    sliding_window: int | None
    causal: bool
    extras: tuple[str, ...]  # further arguments that were given a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Tokens, the model's own logits for them, and its attention calls in order."""

    ids: Tensor  # [ROWS, TOKENS]
    logits: Tensor  # [ROWS, TOKENS, vocabulary]
    hidden: Tensor  # [ROWS * TOKENS, width]: what the output projection was given
    calls: tuple[AttentionCall, ...]


_HARMLESS = frozenset(
    {
        *("dropout", "scaling", "sliding_window", "is_causal", "position_ids", "cache_position"),
        *("output_attentions", "output_hidden_states", "use_cache", "return_dict", "logits_to_keep"),
        *("past_key_values", "past_key_value", "position_embeddings", "attention_mask", "num_items_in_batch"),
    }
)
"""Known arguments of attention that say nothing which our own does not already do."""


def probe(model: Any) -> Probe:
    """Run the model as it is, through transformers' own attention. Raises whatever the model raises."""
    calls: list[AttentionCall] = []
    ids = _tokens(model)
    before = model.config._attn_implementation
    with _listening(model, calls), _head_input(model) as hidden, torch.inference_mode():
        model.set_attn_implementation(NAME)
        try:
            # The mask only keeps some models from warning of padding: it hides nothing.
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        finally:
            model.set_attn_implementation(before)
    return Probe(ids=ids, logits=logits, hidden=hidden[-1].flatten(0, -2), calls=tuple(calls))


def _tokens(model: Any) -> Tensor:
    """The same for every start: a model that passes once passes again."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    spread = torch.arange(ROWS * TOKENS).view(ROWS, TOKENS)
    return ((spread * 7919 + spread * spread * 31 + 11) % vocabulary).to(model.device)


@contextmanager
def _listening(model: Any, calls: list[AttentionCall]) -> Generator[None]:
    modules = cast("list[nn.Module]", list(model.modules()))
    for module in modules:
        object.__setattr__(module, _ATTRIBUTE, calls)
    try:
        yield
    finally:
        for module in modules:
            object.__delattr__(module, _ATTRIBUTE)


@contextmanager
def _head_input(model: Any) -> Generator[list[Tensor]]:
    seen: list[Tensor] = []

    def take(_head: object, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0])

    hook = model.get_output_embeddings().register_forward_pre_hook(take)
    try:
        yield seen
    finally:
        hook.remove()


def _recording_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    calls: list[AttentionCall] = getattr(module, _ATTRIBUTE)
    calls.append(
        AttentionCall(
            layer=getattr(module, "layer_idx", None),
            kv_heads=key.shape[1],
            key_width=key.shape[3],
            value_width=value.shape[3],
            sliding_window=kwargs.get("sliding_window"),
            causal=bool(kwargs.get("is_causal", getattr(module, "is_causal", True))),
            extras=tuple(sorted(k for k, v in kwargs.items() if v is not None and k not in _HARMLESS)),
        )
    )
    found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return found


AttentionInterface.register(NAME, _recording_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
