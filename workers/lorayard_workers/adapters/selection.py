"""Which modules a configuration selects: PEFT's `check_target_module_exists`, without running a bomb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lorayard_shared.adapters.config import AdapterConfig
from lorayard_shared.adapters.patterns import fully_matching

ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the output head."""


def selected(
    config: AdapterConfig, linears: Iterable[str], others: Iterable[str] = ()
) -> frozenset[str] | None:
    """Of a model's modules, those that must have tensors; None when the configuration doesn't say.

    `others` are the embedding and the head. Raises ValueError for an expression that takes too long.
    """
    if config.target_modules is None:
        return None
    if config.target_modules == ALL_LINEAR:
        return frozenset(linears) - _excluded(config, linears)
    names = [*linears, *others]
    return _targeted(config, names) - _excluded(config, names)


def _targeted(config: AdapterConfig, names: Sequence[str]) -> frozenset[str]:
    if isinstance(config.target_modules, str):
        return fully_matching("target_modules", config.target_modules, names)
    targets = config.target_modules or ()
    whole = frozenset(targets)
    found = _named(names, targets)
    return frozenset(name for name in found if name in whole or _layer_fits(config, name))


def _excluded(config: AdapterConfig, names: Iterable[str]) -> frozenset[str]:
    if isinstance(config.exclude_modules, str):
        return fully_matching("exclude_modules", config.exclude_modules, names)
    return _named(names, config.exclude_modules or ())


def _named(names: Iterable[str], endings: Sequence[str]) -> frozenset[str]:
    """Whole names, or their last parts."""
    whole, tails = frozenset(endings), tuple(f".{ending}" for ending in endings)
    return frozenset(name for name in names if name in whole or name.endswith(tails))


def _layer_fits(config: AdapterConfig, name: str) -> bool:
    if config.layers_to_transform is None or config.layers_to_transform == ():
        return True
    wanted = config.layers_to_transform
    for pattern in config.layer_lists or (None,):
        start = r".*?\.[^.]*" if pattern is None else rf"(?:^|.*?\.){pattern}"
        match = re.match(rf"{start}\.(\d+)\.", name)
        if match is not None:
            return int(match[1]) in ((wanted,) if isinstance(wanted, int) else wanted)
    return False
