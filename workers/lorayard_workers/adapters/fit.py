"""Whether a readable adapter fits the base model and is safe to batch with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import AdapterFile
from lorayard_workers.adapters.selection import selected
from lorayard_workers.adapters.wide import NO_WIDE, WideRoom
from lorayard_workers.errors import CapacityError

Shapes = Mapping[str, tuple[int, int]]
"""The base model's linears: module name -> (out, in)."""


def check_fits(adapter: AdapterFile, linears: Shapes, wide: WideRoom = NO_WIDE) -> None:
    """Each tensor has a module of the right shape and kind, and each target its tensors.

    `wide` says what may be brought for the embedding and the head. Raises AdapterRefusedError, or
    CapacityError for more of that than there is room for.
    """
    shapes = {**linears, **{module.name: module.shape for module in wide.modules}}
    unknown = [module for module in adapter.pairs if module not in shapes]
    if len(unknown) == len(adapter.pairs):
        raise AdapterRefusedError(
            adapter.path,
            f"none of its {len(unknown)} modules is a linear layer of the base model's decoder "
            f"(first: {unknown[0]}; the model has e.g. {next(iter(shapes), 'none')})",
            module=unknown[0],
        )
    if unknown:
        raise AdapterRefusedError(
            adapter.path,
            f"{unknown[0]}: not a linear layer of the base model's decoder "
            f"({len(unknown)} of {len(adapter.pairs)} modules are unknown)",
            module=unknown[0],
        )
    for module in adapter.pairs:
        _check_shape(adapter, module, shapes[module])
    wide.check(adapter)
    _check_selected(adapter, linears, [module.name for module in wide.modules])


def check_rank(adapter: AdapterFile, max_rank: int) -> None:
    """The largest rank is one the worker was set up for. Raises CapacityError."""
    if adapter.rank > max_rank:
        raise CapacityError(
            f"adapter {adapter.path} (rank)",
            needed=adapter.rank,
            limit=max_rank,
            setting="max_rank",
        )


def _check_shape(adapter: AdapterFile, module: str, shape: tuple[int, int]) -> None:
    pair, (out_features, in_features) = adapter.pairs[module], shape
    if pair.a.shape[1] != in_features or pair.b.shape[0] != out_features:
        raise AdapterRefusedError(
            adapter.path,
            f"{module}: the base layer is [{out_features}, {in_features}], but lora_A is "
            f"{list(pair.a.shape)} and lora_B is {list(pair.b.shape)}",
            module=module,
        )


def _check_selected(adapter: AdapterFile, linears: Shapes, others: Sequence[str]) -> None:
    """Tensors and configuration name the same modules: PEFT would ignore what is not selected."""
    try:
        wanted = selected(adapter.config, linears, others)
    except ValueError as error:
        raise AdapterRefusedError(adapter.path, f"adapter_config.json: {error}") from None
    if wanted is None:
        return
    extra = [module for module in adapter.pairs if module not in wanted]
    if extra:
        raise AdapterRefusedError(
            adapter.path,
            f"{extra[0]}: has tensors, but adapter_config.json's target_modules and layers do not select it "
            f"({len(extra)} of {len(adapter.pairs)} modules)",
            module=extra[0],
        )
    missing = sorted(wanted - adapter.pairs.keys())
    if missing:
        raise AdapterRefusedError(
            adapter.path,
            f"{missing[0]}: a target without tensors ({len(missing)} of {len(wanted)} targets)",
            module=missing[0],
        )
