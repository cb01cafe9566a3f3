"""How large the parts of an engine become: from settings and model to cache blocks, context and slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorayard_shared.adapters.config import read_config
from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.blocks import BLOCK_TOKENS
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.context import Context, fit_context
from lorayard_workers.engine.kv_cache import KvCache
from lorayard_workers.engine.patching import find_groups
from lorayard_workers.engine.refusals import cache_shape, check_supported
from lorayard_workers.errors import BaseModelUnsupportedError
from lorayard_workers.memory.budget import check_pins, column_bytes, column_count
from lorayard_workers.memory.eviction import Worth
from lorayard_workers.memory.slots import DeviceSlots

MIN_CONTEXT_TOKENS = 16
"""Fewer hold neither a prompt nor an answer: the memory setting is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSize:
    """Blocks for all rows together, and how long one row may become."""

    blocks: int
    context: Context


def fit_cache(base: BaseModel, config: EngineConfig) -> CacheSize:
    """Raises BaseModelUnsupportedError when `kv_bytes` leaves no room to work in."""
    layers, kv_heads, head_width = cache_shape(base)
    token_bytes = KvCache.token_bytes(layers, kv_heads, head_width, config.precision.dtype)
    blocks = max(0, config.kv_bytes // (token_bytes * BLOCK_TOKENS) - 1)  # less the blank one
    context = fit_context(
        model_tokens=base.context_tokens,
        wanted_tokens=config.context_tokens,
        kv_bytes=config.kv_bytes,
        cache_tokens=blocks * BLOCK_TOKENS,
    )
    if context.tokens < MIN_CONTEXT_TOKENS:
        raise BaseModelUnsupportedError(
            base.folder,
            f"only {context.tokens} tokens of context, bound by {context.bound_by}; "
            f"a token takes {token_bytes} bytes of the KV cache",
        )
    return CacheSize(blocks=blocks, context=context)


def fit_slots(base: BaseModel, config: EngineConfig, worth: Worth) -> DeviceSlots:
    """The books of as many columns as the settings pay for.

    Raises BaseModelUnsupportedError for a model without nameable linears, CapacityError for too small a
    budget.
    """
    check_supported(base)
    layouts = [group.layout for group in find_groups(base)]
    columns = column_count(
        slot_bytes=config.slot_bytes,
        slots=config.slots,
        max_rank=config.max_rank,
        column_bytes=column_bytes(layouts, config.precision.dtype.itemsize),
    )
    return DeviceSlots(
        count=config.slots, max_rank=config.max_rank, columns=columns, pinned=config.pinned, worth=worth
    )


def check_start_pins(config: EngineConfig, adapters: Mapping[str, Path], slots: DeviceSlots) -> None:
    """Their declared ranks leave room for others; whether their weights are sound shows when they are loaded.

    Raises CapacityError, or AdapterRefusedError if a configuration is unreadable.
    """
    folders = {digest: adapters[digest] for digest in config.pinned if digest in adapters}
    ranks = {digest: read_config(folder).largest_rank for digest, folder in folders.items()}
    check_pins(ranks, total=slots.total, max_rank=config.max_rank)
