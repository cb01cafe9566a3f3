"""What two adapters' configurations say, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from lorayard_shared.adapters.config import AdapterConfig
from lorayard_shared.adapters.open_weights import OpenWeights


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiff:
    """One setting of two adapters, as text."""

    field: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether both say the same."""
        return self.first == self.second


_FIELDS = {
    "rank": "r",
    "alpha": "lora_alpha",
    "rslora": "use_rslora",
    "dora": "use_dora",
    "lora_bias": "lora_bias",
    "targets": "target_modules",
    "excluded": "exclude_modules",
    "layers": "layers_to_transform",
    "layers_pattern": "layers_pattern",
    "rank_pattern": "rank_pattern",
    "alpha_pattern": "alpha_pattern",
    "base_name": "base_model_name_or_path",
}
"""What it is called in words -> in adapter_config.json."""

NONE = "none"


def compare_settings(first: OpenWeights, second: OpenWeights) -> Iterator[FieldDiff]:
    """Configuration, type of the weights and prompt template."""
    for field, name in _FIELDS.items():
        yield FieldDiff(field=field, first=_setting(first.config, name), second=_setting(second.config, name))
    yield FieldDiff(field="weights", first=_types(first), second=_types(second))
    yield FieldDiff(
        field="template", first=first.prompt_template or NONE, second=second.prompt_template or NONE
    )


def compare_labels(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[FieldDiff]:
    """What publishers say of two versions."""
    for key in sorted({*first, *second}):
        yield FieldDiff(field=f"label {key}", first=first.get(key, NONE), second=second.get(key, NONE))


def _setting(config: AdapterConfig, name: str) -> str:
    value: Any = getattr(config, name)
    if value in (None, (), {}):
        return NONE
    if isinstance(value, tuple):
        return ", ".join(sorted(map(str, cast("tuple[object, ...]", value))))  # its order means nothing
    if isinstance(value, Mapping):
        # The first key that matches counts: an order means something.
        return json.dumps(dict(cast("Mapping[str, object]", value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _types(weights: OpenWeights) -> str:
    found = {tensor.dtype for pair in weights.pairs.values() for tensor in pair.tensors}
    return ", ".join(sorted(found))
