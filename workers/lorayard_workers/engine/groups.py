"""The multi-LoRA linear: one fused base GEMM, plus every token's own adapter."""

from __future__ import annotations

import torch
from torch import Tensor, bmm, mm, nn, zeros
from torch.nn import functional

from lorayard_workers.engine.base_linear import BaseLinear
from lorayard_workers.engine.lora_plan import Apart, Bundle, Dense, LoraPlan, Segment
from lorayard_workers.engine.step_context import StepContext
from lorayard_workers.memory.columns import Columns
from lorayard_workers.memory.packing import GroupWeights


class LoraGroup:
    """Linears that read the same input, with room for many adapters.

    A is [columns, members, in] and each member's B is [columns, out], the scale folded in. An adapter
    owns the columns of its slot. Base-model tokens never enter the LoRA path.
    """

    def __init__(self, base: BaseLinear, columns: int, context: StepContext) -> None:
        self._base = base
        self._context = context

        def room(*shape: int) -> Tensor:
            return zeros(shape, dtype=base.dtype, device=base.device)

        self._a = room(columns, len(base.out_features), base.in_features)
        self._b = tuple(room(columns, width) for width in base.out_features)
        self._affine: dict[Columns, tuple[Tensor | None, Tensor]] = {}
        self._input: Tensor | None = None
        self._parts: list[Tensor] = []
        self._taken: set[int] = set()

    @property
    def base(self) -> BaseLinear:
        """The frozen linears."""
        return self._base

    @property
    def columns(self) -> int:
        """Room for adapters: the sum of their ranks."""
        return len(self._a)

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return self._base.in_features

    @property
    def width(self) -> int:
        """Of all members' outputs together."""
        return sum(self._base.out_features)

    @property
    def dtype(self) -> torch.dtype:
        """Of the slots and of what they are multiplied with."""
        return self._a.dtype

    @property
    def device(self) -> torch.device:
        """Where the slots are."""
        return self._a.device

    @property
    def size_bytes(self) -> int:
        """Device memory of the slots."""
        return sum(t.numel() * t.element_size() for t in (self._a, *self._b))

    def write(self, columns: Columns, weights: GroupWeights | None) -> None:
        """Copy an adapter into its columns; every value of them is overwritten, with zeros for None."""
        if columns[-1] - columns[0] + 1 == len(columns):
            self._write_at(slice(columns[0], columns[-1] + 1), weights)
        else:
            self._write_at(list(columns), weights)
        taken = set(columns)
        self._affine = {own: pair for own, pair in self._affine.items() if taken.isdisjoint(own)}
        if weights is not None and weights.shift is not None:
            gain = None if weights.gain is None else weights.gain.to(self._base.device)
            self._affine[columns] = (gain, weights.shift.to(self._base.device))

    def _write_at(self, rows: slice | list[int], weights: GroupWeights | None) -> None:
        if weights is None:
            for own in (self._a, *self._b):
                own[rows] = 0
            return
        for own, new in zip((self._a, *self._b), (weights.a, *weights.b), strict=True):
            if isinstance(rows, slice):
                own[rows].copy_(new)
            else:
                own[rows] = new.to(own.device)

    def part(self, member: int, x: Tensor) -> Tensor:
        """One member's output. Members asked with the same tensor share one computation."""
        if self._input is not x or member in self._taken:
            self._input = x  # held, so that another tensor cannot take its identity
            y = self.compute(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)
            self._parts = self._split(y)
            self._taken = set()
        self._taken.add(member)
        found = self._parts[member]
        if len(self._taken) == len(self._parts):
            self.forget()
        return found

    def forget(self) -> None:
        """Let go of the last input and outputs, for instance after a step that failed."""
        self._input, self._parts, self._taken = None, [], set()

    def compute(self, x: Tensor) -> Tensor:
        """x is [tokens, in] in the plan's order; returns [tokens, sum(out)]."""
        y = self._base(x)
        self.add(y, x, self._context.lora)
        if self._affine:
            self._apply_affine(y)
        return y

    def add(self, y: Tensor, x: Tensor, plan: LoraPlan) -> None:
        """Add every token's own adapter to y [tokens, sum(out)]."""
        if plan.dense is not None:
            self._add_dense(y, x, plan.dense)
        for segment in plan.segments:
            self._add_segment(y, x, segment)
        for bundle in plan.bundles:
            self._add_bundle(y, x, bundle)
        for apart in plan.aparts:
            self._add_apart(y, x, apart)

    def _apply_affine(self, y: Tensor) -> None:
        """Gains and shifts of the few adapters that have them, for their own tokens."""
        for columns, (gain, shift) in self._affine.items():
            use = self._context.users.of(columns) if self._context.users is not None else None
            if use is not None:
                own = y[use.index].float()
                own = own + shift if gain is None else torch.addcmul(shift, own, gain)
                y.index_copy_(0, use.index, own.to(y.dtype))

    def _add_dense(self, y: Tensor, x: Tensor, dense: Dense) -> None:
        a = self._a[: dense.columns].view(-1, x.shape[-1])
        # The weights stand first: a CPU repacks the second operand of a product for its matrix units.
        hidden = mm(a, x[: dense.foreign.shape[-1]].t()).view(dense.columns, -1, dense.foreign.shape[-1])
        # Filled, not multiplied: 0 x NaN is NaN, and would carry one adapter's overflow to other rows.
        hidden.masked_fill_(dense.foreign, 0)
        if dense.weights is not None:
            hidden.mul_(dense.weights)
        hidden = hidden.permute(1, 2, 0)
        for target, own, b in zip(self._split(y[: dense.tokens]), hidden, self._b, strict=True):
            target.add_(mm(own, b[: dense.columns])[: dense.tokens])

    def _add_bundle(self, y: Tensor, x: Tensor, bundle: Bundle) -> None:
        tokens = slice(bundle.start, bundle.stop)
        rows = x[tokens] if bundle.rows is None else x[tokens][bundle.rows]
        rows = rows.reshape(bundle.adapters, -1, x.shape[-1])
        a = self._a[bundle.columns].view(bundle.adapters, -1, x.shape[-1])
        hidden = bmm(rows, a.transpose(1, 2)).view(*rows.shape[:2], -1, self._a.shape[1])
        hidden = hidden.permute(3, 0, 1, 2).contiguous()
        for target, own, b in zip(self._split(y[tokens]), hidden, self._b, strict=True):
            added = bmm(own, b[bundle.columns].view(bundle.adapters, -1, b.shape[-1])).flatten(0, 1)
            target.add_(added if bundle.taken is None else added[bundle.taken])

    def _add_apart(self, y: Tensor, x: Tensor, apart: Apart) -> None:
        a = self._a[apart.columns]  # [rows, rank, members, in]
        rows, rank = apart.columns.shape
        hidden = bmm(x[apart.padded].unsqueeze(1), a.view(rows, -1, x.shape[-1]).transpose(1, 2))
        hidden = hidden.view(rows, rank, -1).permute(2, 0, 1).unsqueeze(2).contiguous()
        for target, own, b in zip(self._split(y), hidden, self._b, strict=True):
            added = bmm(own, b[apart.columns]).squeeze(1)
            target.index_add_(0, apart.tokens, added[: len(apart.tokens)])

    def _add_segment(self, y: Tensor, x: Tensor, segment: Segment) -> None:
        tokens = slice(segment.start, segment.stop)
        a = self._a[segment.columns]
        hidden = functional.linear(x[tokens], a.reshape(-1, x.shape[-1]))
        hidden = hidden.view(-1, a.shape[0], a.shape[1])
        if segment.weights is not None:
            hidden.mul_(segment.weights)
        hidden = hidden.permute(2, 0, 1).contiguous()
        for target, own, b in zip(self._split(y[tokens]), hidden, self._b, strict=True):
            target.addmm_(own, b[segment.columns])

    def _split(self, y: Tensor) -> list[Tensor]:
        parts: list[Tensor] = []
        start = 0
        for width in self._base.out_features:
            parts.append(y.narrow(-1, start, width))
            start += width
        return parts


class GroupPart(nn.Module):
    """Stands where a linear of the base model stood, and answers for its group."""

    def __init__(self, group: LoraGroup, member: int) -> None:
        super().__init__()
        self._group = group  # a plain object: nn.Module must not list it once per member
        self._member = member

    def forward(self, x: Tensor) -> Tensor:
        """x is [..., in]; returns [..., out]."""
        return self._group.part(self._member, x)
