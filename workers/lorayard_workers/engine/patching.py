"""Rebuilds a transformers decoder so that its linears serve many adapters; the rest stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from transformers.pytorch_utils import Conv1D

from lorayard_workers.adapters.wide import WideModule, WideRole
from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.attention import CONTEXT_ATTRIBUTE, NAME
from lorayard_workers.engine.base_linear import BaseLinear, Head
from lorayard_workers.engine.groups import GroupPart, LoraGroup
from lorayard_workers.engine.step_context import StepContext
from lorayard_workers.memory.layout import GroupLayout

_FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """Linears of the base model that read the same input."""

    layout: GroupLayout
    parent: nn.Module
    names: tuple[str, ...]  # of the members, within the parent

    @property
    def linears(self) -> list[nn.Linear]:
        """The members, those with transposed weights turned round."""
        return [_as_linear(getattr(self.parent, name)) for name in self.names]


def find_groups(base: BaseModel) -> tuple[FoundGroup, ...]:
    """Every linear of the decoder, fused where members read the same input."""
    found: list[FoundGroup] = []
    names = {id(module): name for name, module in _modules(base.model)}
    for _, parent in _modules(base.model.base_model):
        found += [_found(parent, names[id(parent)], group) for group in _grouped(parent)]
    return tuple(found)


def turned_modules(base: BaseModel) -> frozenset[str]:
    """Names of linears whose weight is stored as (in, out)."""
    return frozenset(name for name, module in _modules(base.model) if type(module) is Conv1D)


def find_wide(base: BaseModel) -> tuple[WideModule, ...]:
    """The embedding and the head, as far as adapters can change them."""
    model = base.model
    names = {id(module): name for name, module in _modules(model)}
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    found = [
        WideModule(
            name=names[id(head)],
            role=WideRole.HEAD,
            in_features=head.in_features,
            out_features=head.out_features,
        )
    ]
    if isinstance(embedding, nn.Embedding):
        tokens, width = embedding.weight.shape
        found.append(
            WideModule(
                name=names[id(embedding)],
                role=WideRole.EMBEDDING,
                in_features=tokens,
                out_features=width,
                multiplier=float(getattr(embedding, "embed_scale", 1.0)),
            )
        )
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
    _put_head(base)
    base.model.set_attn_implementation(NAME)
    return tuple(groups)


def _put_head(base: BaseModel) -> None:
    """The output projection keeps its place and its name, whatever the model calls it."""
    linear = base.model.get_output_embeddings()
    name = next(name for name, module in _modules(base.model) if module is linear)
    parent, _, own = name.rpartition(".")
    setattr(base.model.get_submodule(parent), own, Head(linear, base.quantization))


def _modules(root: Any) -> Iterator[tuple[str, nn.Module]]:
    """`named_modules`, typed; a list first, as patching changes what it walks over."""
    yield from cast("list[tuple[str, nn.Module]]", list(root.named_modules()))


def _grouped(parent: nn.Module) -> list[tuple[str, ...]]:
    linears = {
        name: cast(object, child.bias) is not None
        for name, child in parent.named_children()
        if type(child) in (nn.Linear, Conv1D)  # a subclass may compute something else
    }
    groups = [
        names
        for names in _FUSED
        if all(name in linears for name in names) and len({linears[name] for name in names}) == 1
    ]
    fused = {name for names in groups for name in names}
    return [*groups, *((name,) for name in linears if name not in fused)]


def _found(parent: nn.Module, path: str, names: tuple[str, ...]) -> FoundGroup:
    shapes = [_shape(getattr(parent, name)) for name in names]
    layout = GroupLayout(
        members=tuple(f"{path}.{name}" if path else name for name in names),
        in_features=shapes[0][1],
        out_features=tuple(width for width, _ in shapes),
    )
    return FoundGroup(layout=layout, parent=parent, names=names)


def _shape(linear: nn.Linear | Conv1D) -> tuple[int, int]:
    """(out, in); GPT-2's Conv1D is a linear whose weight is stored as (in, out)."""
    rows, columns = linear.weight.shape
    return (columns, rows) if isinstance(linear, Conv1D) else (rows, columns)


def _as_linear(linear: nn.Linear | Conv1D) -> nn.Linear:
    if isinstance(linear, nn.Linear):
        return linear
    out_features, in_features = _shape(linear)
    turned = nn.Linear(in_features, out_features, device="meta")
    turned.weight = nn.Parameter(linear.weight.detach().t().contiguous(), requires_grad=False)
    turned.bias = linear.bias
    return turned
