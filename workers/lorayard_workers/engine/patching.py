"""Rebuilds a transformers decoder so that its linears serve many adapters; the rest stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.attention import CONTEXT_ATTRIBUTE, NAME
from lorayard_workers.engine.base_linear import BaseLinear, Head
from lorayard_workers.engine.groups import GroupPart, LoraGroup
from lorayard_workers.engine.step_context import StepContext
from lorayard_workers.errors import BaseModelUnsupportedError
from lorayard_workers.memory.layout import GroupLayout

SUPPORTED_TYPES = ("gemma3_text", "llama", "mistral", "qwen2", "qwen3")
"""Decoders that our tests compare with transformers' own forward: dense, rotary, no logit caps inside
attention."""

_BATCH_DEPENDENT_ROPE = ("dynamic", "longrope")
"""Rotary tables that change with the longest position in the batch: one row would change another."""

_FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """Linears of the base model that read the same input."""

    layout: GroupLayout
    parent: nn.Module
    names: tuple[str, ...]  # of the members, within the parent

    @property
    def linears(self) -> list[nn.Linear]:
        """The members."""
        return [cast(nn.Linear, getattr(self.parent, name)) for name in self.names]


def check_supported(base: BaseModel) -> None:
    """Raises BaseModelUnsupportedError for models that would run, but wrongly."""
    config = base.model.config
    kind = str(config.model_type)
    if kind not in SUPPORTED_TYPES:
        raise BaseModelUnsupportedError(
            base.folder, f"model type {kind!r} is not one of {', '.join(SUPPORTED_TYPES)}"
        )
    for name in ("final_logit_softcapping", "attn_logit_softcapping"):
        if getattr(config, name, None) is not None:
            raise BaseModelUnsupportedError(base.folder, f"{name} is not supported")
    for rope in _rope_types(config):
        if rope in _BATCH_DEPENDENT_ROPE:
            raise BaseModelUnsupportedError(
                base.folder, f"rope type {rope!r} makes a row depend on the others in its batch"
            )


def find_groups(base: BaseModel) -> tuple[FoundGroup, ...]:
    """Every linear of the decoder's layers, fused where members read the same input."""
    found: list[FoundGroup] = []
    names = {id(module): name for name, module in _modules(base.model)}
    for layer in base.model.model.layers:
        for _, parent in _modules(layer):
            found += [_found(parent, names[id(parent)], group) for group in _grouped(parent)]
    return tuple(found)


def patch(
    base: BaseModel, found: Sequence[FoundGroup], columns: int, context: StepContext
) -> tuple[LoraGroup, ...]:
    """Put groups in the linears' places, our attention and a packed head into the model."""
    groups: list[LoraGroup] = []
    for one in found:
        group = LoraGroup(BaseLinear(one.linears, base.quantization), columns, context)
        for member, name in enumerate(one.names):
            setattr(one.parent, name, GroupPart(group, member))  # frees the member's own weight
        groups.append(group)
    for _, module in _modules(base.model):
        if hasattr(module, "layer_idx"):
            setattr(module, CONTEXT_ATTRIBUTE, context)
    base.model.lm_head = Head(base.model.lm_head, base.quantization)
    base.model.set_attn_implementation(NAME)
    return tuple(groups)


def _modules(root: Any) -> Iterator[tuple[str, nn.Module]]:
    """`named_modules`, typed; a list first, as patching changes what it walks over."""
    yield from cast("list[tuple[str, nn.Module]]", list(root.named_modules()))


def _grouped(parent: nn.Module) -> list[tuple[str, ...]]:
    linears = {name: child for name, child in parent.named_children() if isinstance(child, nn.Linear)}
    biased = {name: cast(object, linear.bias) is not None for name, linear in linears.items()}
    groups = [
        names
        for names in _FUSED
        if all(name in linears for name in names) and len({biased[name] for name in names}) == 1
    ]
    fused = {name for names in groups for name in names}
    return [*groups, *((name,) for name in linears if name not in fused)]


def _found(parent: nn.Module, path: str, names: tuple[str, ...]) -> FoundGroup:
    linears = [cast(nn.Linear, getattr(parent, name)) for name in names]
    layout = GroupLayout(
        members=tuple(f"{path}.{name}" for name in names),
        in_features=linears[0].in_features,
        out_features=tuple(linear.out_features for linear in linears),
    )
    return FoundGroup(layout=layout, parent=parent, names=names)


def _rope_types(config: Any) -> Iterator[str]:
    """Rope settings are one mapping, or one per kind of layer."""
    found: Any = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    settings = cast("dict[str, Any]", found)
    for part in (settings, *settings.values()):
        if isinstance(part, dict):
            typed = cast("dict[str, Any]", part)
            yield str(typed.get("rope_type", typed.get("type", "default")))
