"""Models that would run, but wrongly in ways that a few tokens do not show: refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from torch import nn

from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.probe import AttentionCall
from lorayard_workers.errors import BaseModelUnsupportedError

KNOWN_ROPE_TYPES = ("default", "linear", "llama3", "proportional", "yarn")
"""A token's angles follow from its position alone. Others (dynamic, longrope) change with the longest row of
the batch: one row would change another."""

KNOWN_LAYER_TYPES = ("full_attention", "sliding_attention")
"""What our attention does. Others look at chunks, at states or at nothing."""

_CAPS = ("final_logit_softcapping", "attn_logit_softcapping")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def check_supported(base: BaseModel) -> None:
    """Raises BaseModelUnsupportedError for models that would run, but wrongly."""
    for reason in refused_by_name(base.model):
        raise BaseModelUnsupportedError(base.folder, f"model type {base.model.config.model_type!r}: {reason}")


def cache_shape(base: BaseModel) -> tuple[int, int, int]:
    """Layers, kv heads and head width. Raises BaseModelUnsupportedError."""
    config = base.model.config
    try:
        heads = int(config.num_attention_heads)
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return (
            int(config.num_hidden_layers),
            int(getattr(config, "num_key_value_heads", None) or heads),
            int(width),
        )
    except (AttributeError, TypeError) as error:
        raise BaseModelUnsupportedError(
            base.folder, f"its configuration does not describe its attention: {error}"
        ) from None


def refused_by_name(model: Any) -> Iterator[str]:
    """Reasons, from configuration and modules, why this engine cannot serve a model rightly."""
    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        yield "an encoder-decoder reads its prompt with other layers than it writes with"
    if config.get_text_config() is not config:
        yield "it holds more than a text decoder; save its language model alone"
    if model.base_model is model or not isinstance(model.get_output_embeddings(), nn.Linear):
        yield "it has no decoder with a linear output head on it"
    for name in _CAPS:
        if getattr(config, name, None) is not None:
            yield f"{name} {getattr(config, name)} is not supported"
    if getattr(config, "alibi", False):
        yield "alibi: attention biased by distance is not supported"
    for rope in _rope_types(config):
        if rope not in KNOWN_ROPE_TYPES:
            yield f"rope type {rope!r} makes a row depend on the others in its batch, or is not known"
    for kind in getattr(config, "layer_types", None) or ():
        if kind not in KNOWN_LAYER_TYPES:
            yield f"layer type {kind!r} is not supported"
    yield from _refused_modules(model)


def refused_by_attention(
    model: Any, calls: Sequence[AttentionCall], shape: tuple[int, int, int]
) -> Iterator[str]:
    """Reasons from what the layers asked of attention; `shape` is the cache's: layers, kv heads, width."""
    layers, kv_heads, width = shape
    if [call.layer for call in calls] != list(range(layers)):
        yield (
            f"{len(calls)} calls of transformers' attention interface for {layers} layers, by layers "
            f"{[call.layer for call in calls]}: its attention cannot be replaced"
        )
        return
    windows = _declared_windows(model.config, layers)
    for call, window in zip(calls, windows, strict=True):
        if (call.kv_heads, call.key_width, call.value_width) != (kv_heads, width, width):
            yield (
                f"layer {call.layer} has {call.kv_heads} kv heads of width {call.key_width} and "
                f"{call.value_width}, but the configuration says {kv_heads} of {width}"
            )
        if call.extras:
            yield f"layer {call.layer} asks attention for {', '.join(call.extras)}, which is not supported"
        if not call.causal:
            yield f"layer {call.layer} attends to later tokens"
        if call.sliding_window != window:
            yield (
                f"layer {call.layer} has a window of {window} tokens by configuration, but asks attention "
                f"for {call.sliding_window}"
            )


def _refused_modules(model: Any) -> Iterator[str]:
    if any((getattr(model.config, name, None) or 0) > 1 for name in _EXPERTS):
        yield "its experts are not linear layers, so that adapters would not reach them"
        return
    for name, module in cast("list[tuple[str, nn.Module]]", list(model.named_modules())):
        if getattr(module, "sinks", None) is not None:
            yield f"{name}: attention sinks are not supported"
            return
        for own, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 2:
                yield f"{name}.{own}: weights of {parameter.ndim} axes (as of experts) are not supported"
                return


def _declared_windows(config: Any, layers: int) -> list[int | None]:
    """By layer, what the configuration says about sliding windows."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return [window if kind == "sliding_attention" else None for kind in kinds[:layers]]
    return [window if getattr(config, "use_sliding_window", True) else None] * layers


def _rope_types(config: Any) -> Iterator[str]:
    """Rope settings are one mapping, or one per kind of layer."""
    found: Any = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    settings = cast("dict[str, Any]", found)
    for part in (settings, *settings.values()):
        if isinstance(part, dict):
            typed = cast("dict[str, Any]", part)
            yield str(typed.get("rope_type", typed.get("type", "default")))
