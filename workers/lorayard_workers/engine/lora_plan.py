"""Which tokens of a step use which adapter columns; made once per step, read by every group.

Single tokens take one of two forms. Dense: all of them against all columns up to the highest in use, and
what is foreign to a token is blanked; few kernels, but work that nobody asked for. Bundles: adapters of one
rank that lie next to each other as one batched product, each with its own tokens. Longer runs of tokens, and
single tokens with several adapters, go by segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from lorayard_workers.engine.fixed_shapes import FixedShapes
from lorayard_workers.engine.lora_costs import USUAL_COSTS, LoraCosts
from lorayard_workers.memory.columns import (
    Blend,
    Columns,
    Use,
    are_neighbours,
    columns_of,
    is_plain,
    weights_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Tokens 0..tokens against columns 0..columns at once; columns of others are blanked."""

    tokens: int
    columns: int
    foreign: Tensor  # bool [columns, 1, tokens or more]: not this token's; those after `tokens` are padding
    weights: Tensor | None = None  # fp32 [columns, 1, tokens]; None where all are 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Neighbouring adapters of one rank, each with as many tokens as the one with the most."""

    start: int  # tokens start..stop, sorted by adapter
    stop: int
    adapters: int  # some may have no token
    columns: slice
    rows: Tensor | None  # [adapters * most], from `start`: a token twice is padding; None: as they come
    taken: Tensor | None  # of those results, the ones that are no padding; None: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Neighbouring tokens that use the same columns."""

    start: int
    stop: int
    columns: slice | Tensor  # a slice where the columns are neighbours: no copy
    weights: Tensor | None = None  # fp32 [columns, 1]; None where all are 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Single tokens of adapters of one rank, each multiplied by itself; always `rows` of them."""

    tokens: Tensor  # [n]
    padded: Tensor  # [rows]: the same, and any token for the rest
    columns: Tensor  # [rows, rank]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPlan:
    """A step's use of adapters. Tokens of the base model appear in no part."""

    dense: Dense | None = None
    bundles: tuple[Bundle, ...] = ()
    segments: tuple[Segment, ...] = ()
    aparts: tuple[Apart, ...] = ()

    @property
    def tokens(self) -> int:
        """Up to the last that any part uses."""
        stops = [bundle.stop for bundle in self.bundles] + [segment.stop for segment in self.segments]
        stops += [int(apart.padded.max()) + 1 for apart in self.aparts]
        return max([0 if self.dense is None else self.dense.tokens, *stops])


@dataclass(slots=True, kw_only=True)
class Run:
    """A bundle in the making: `counts` has the tokens of each adapter in turn."""

    rank: int
    first: int  # column
    counts: list[int]

    @property
    def most(self) -> int:
        """Tokens that every adapter is padded to."""
        return max(self.counts)

    def cost(self, costs: LoraCosts) -> float:
        """Milliseconds."""
        return costs.bundle.at(len(self.counts) * self.most, len(self.counts) * self.rank)


def plan_lora(
    singles: Sequence[Use | None],
    spans: Sequence[tuple[int, Use | None]],
    device: torch.device,
    *,
    costs: LoraCosts = USUAL_COSTS,
    fixed: FixedShapes | None = None,
) -> LoraPlan:
    """`singles`: one token each, adapters first, in `use_order`; `spans`: (tokens, use) after them.

    `fixed`: so that no token's rounding depends on others or on the place of a slot.
    """
    adapted = [use for use in singles if use is not None]
    assert all(use is not None for use in singles[: len(adapted)])
    if fixed is not None:
        return _plan_fixed(singles, spans, fixed, device)
    segments = _segments(spans, start=len(singles), device=device)
    if not adapted:
        return LoraPlan(segments=segments)
    plain = [use for use in adapted if is_plain(use)]
    runs = find_runs([columns_of(use) for use in plain], costs)
    odd = _segments([(1, use) for use in adapted[len(plain) :]], start=len(plain), device=device)
    width = max(max(columns_of(use)) + 1 for use in adapted)
    if costs.dense.at(len(adapted), width) <= _cost(runs, odd, costs):
        return LoraPlan(dense=dense_for(adapted, width, device), segments=segments)
    return LoraPlan(bundles=plan_runs(runs, device), segments=(*odd, *segments))


def _plan_fixed(
    singles: Sequence[Use | None],
    spans: Sequence[tuple[int, Use | None]],
    fixed: FixedShapes,
    device: torch.device,
) -> LoraPlan:
    """`use_order` puts sums last: they are always added up alone."""
    adapted = [use for use in singles if use is not None]
    whole = [use for use in adapted if not isinstance(use, Blend)]
    start = len(whole)
    alone: list[Segment] = []
    for tokens, use in (*((1, use) for use in singles[start:]), *spans):
        alone += _segments([(tokens, use)], start=start, device=device)
        start += tokens
    if not whole:
        return LoraPlan(segments=tuple(alone))
    if not fixed.dense:
        return LoraPlan(aparts=_aparts(whole, fixed.rows, device), segments=tuple(alone))
    width = fixed.lora_columns(max(use[-1] for use in whole) + 1)
    dense = dense_for(whole, width, device, padded=fixed.lora_tokens(len(whole)))
    return LoraPlan(dense=dense, segments=tuple(alone))


def find_runs(used: Sequence[Columns], costs: LoraCosts) -> list[Run]:
    """Bundles for single tokens, by rank and then by place; an adapter joins a run where that is cheaper."""
    runs: list[Run] = []
    for columns, tokens in groupby(used):
        alone = Run(rank=len(columns), first=columns[0], counts=[sum(1 for _ in tokens)])
        joined = _join(runs[-1], alone) if runs else None
        if joined is not None and joined.cost(costs) <= runs[-1].cost(costs) + alone.cost(costs):
            runs[-1] = joined
        else:
            runs.append(alone)
    return runs


def _join(run: Run, alone: Run) -> Run | None:
    """Both as one, with whoever lies between; None where they are no multiple of the rank apart."""
    places, rest = divmod(alone.first - run.first, run.rank)
    if run.rank != alone.rank or rest:
        return None
    gap = [0] * (places - len(run.counts))
    return Run(rank=run.rank, first=run.first, counts=[*run.counts, *gap, *alone.counts])


def _cost(runs: Iterable[Run], odd: Iterable[Segment], costs: LoraCosts) -> float:
    total = sum(run.cost(costs) for run in runs)
    for segment in odd:
        wide = segment.columns
        columns = wide.stop - wide.start if isinstance(wide, slice) else len(wide)
        total += costs.bundle.at(segment.stop - segment.start, columns)
    return total


def plan_runs(runs: Iterable[Run], device: torch.device) -> tuple[Bundle, ...]:
    """The bundles of single tokens that stand in the order of the runs."""
    found: list[Bundle] = []
    start = 0
    for run in runs:
        stop = start + sum(run.counts)
        rows, taken = (None, None) if min(run.counts) == run.most else _padded(run, device)
        found.append(
            Bundle(
                start=start,
                stop=stop,
                adapters=len(run.counts),
                columns=slice(run.first, run.first + run.rank * len(run.counts)),
                rows=rows,
                taken=taken,
            )
        )
        start = stop
    return tuple(found)


def _padded(run: Run, device: torch.device) -> tuple[Tensor, Tensor]:
    rows: list[int] = []
    taken: list[int] = []
    token = 0
    for count in run.counts:
        taken.extend(range(len(rows), len(rows) + count))
        rows.extend(range(token, token + count))
        rows.extend([0] * (run.most - count))
        token += count
    return torch.tensor(rows, device=device), torch.tensor(taken, device=device)


def dense_for(
    adapted: Sequence[Use], width: int, device: torch.device, *, padded: int | None = None
) -> Dense:
    """The dense form of single tokens over the first `width` columns; with `padded` tokens in all."""
    tokens = torch.tensor([token for token, use in enumerate(adapted) for _ in columns_of(use)])
    columns = torch.tensor([column for use in adapted for column in columns_of(use)])
    foreign = torch.ones(width, 1, padded or len(adapted), dtype=torch.bool)
    foreign[columns, 0, tokens] = False
    weights: Tensor | None = None
    if any(weights_of(use) is not None for use in adapted):
        weights = torch.ones(width, 1, len(adapted))
        own = [weight for use in adapted for weight in weights_of(use) or (1.0,) * len(columns_of(use))]
        weights[columns, 0, tokens] = torch.tensor(own)
        weights = weights.to(device)
    return Dense(tokens=len(adapted), columns=width, foreign=foreign.to(device), weights=weights)


def _aparts(adapted: Sequence[Columns], rows: int, device: torch.device) -> tuple[Apart, ...]:
    by_rank: dict[int, list[int]] = {}
    for i, use in enumerate(adapted):
        by_rank.setdefault(len(use), []).append(i)
    found: list[Apart] = []
    for tokens in by_rank.values():
        padded = [*tokens, *[tokens[0]] * (rows - len(tokens))]
        columns = [list(adapted[i]) for i in padded]
        found.append(
            Apart(
                tokens=torch.tensor(tokens, device=device),
                padded=torch.tensor(padded, device=device),
                columns=torch.tensor(columns, device=device),
            )
        )
    return tuple(found)


def _segments(
    spans: Sequence[tuple[int, Use | None]], *, start: int, device: torch.device
) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for use, group in groupby(spans, key=lambda span: span[1]):
        stop = start + sum(tokens for tokens, _ in group)
        if use is not None:
            own = weights_of(use)
            weights = None if own is None else torch.tensor(own, device=device)[:, None]
            columns = _index(columns_of(use), device)
            found.append(Segment(start=start, stop=stop, columns=columns, weights=weights))
        start = stop
    return tuple(found)


def _index(columns: Columns, device: torch.device) -> slice | Tensor:
    if are_neighbours(columns):
        return slice(columns[0], columns[-1] + 1)
    return torch.tensor(columns, device=device)
