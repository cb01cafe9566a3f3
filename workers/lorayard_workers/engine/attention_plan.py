"""Who may see what in a step: positions, masks and spans, made once and read by every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorayard_workers.engine.kv_cache import LENGTH_TILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run of a row's tokens lies: `tokens` of them from position `start` of cache row `row`."""

    row: int
    start: int
    tokens: int

    @property
    def stop(self) -> int:
        """The position after the last."""
        return self.start + self.tokens


@dataclass(slots=True, kw_only=True)
class Singles:
    """Tokens that attend alone, one per row, as one batched attention over the cache."""

    rows: Tensor  # [n]: cache row of each token
    row_count: int  # cache rows 0..row_count are read
    length: int
    positions: Tensor  # [row_count]: a row without a token has 0, and its result is not used
    dtype: torch.dtype
    masks: dict[int | None, Tensor] = field(default_factory=dict[int | None, Tensor])

    def mask(self, window: int | None) -> Tensor:
        """Additive [row_count, 1, 1, length]; kept for the other layers of the step."""
        if window not in self.masks:
            columns = torch.arange(self.length, device=self.rows.device)
            seen = _visible(self.positions[:, None], columns[None], window)
            blank = torch.zeros(seen.shape, dtype=self.dtype, device=self.rows.device)
            self.masks[window] = blank.masked_fill_(~seen, float("-inf"))[:, None, None]
        return self.masks[window]


@dataclass(slots=True, kw_only=True)
class Span:
    """A run of tokens of one row, attending causally to the row so far."""

    place: Place
    first: int  # index of its first token in the step
    device: torch.device
    masks: dict[int | None, Tensor | None] = field(default_factory=dict[int | None, Tensor | None])

    def mask(self, window: int | None) -> Tensor | None:
        """Boolean [tokens, stop]; None where plain causal attention says the same."""
        if window is not None and self.place.stop <= window:
            window = None
        if window is None and self.place.start == 0:
            return None
        if window not in self.masks:
            positions = torch.arange(self.place.start, self.place.stop, device=self.device)
            columns = torch.arange(self.place.stop, device=self.device)
            self.masks[window] = _visible(positions[:, None], columns[None], window)
        return self.masks[window]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """A step's tokens: `singles` first, then `spans` one after another."""

    index: Tensor  # [tokens]: flat cache position of each token
    positions: Tensor  # [tokens]: position of each token in its row
    singles: Singles | None
    spans: tuple[Span, ...]


def plan_attention(
    singles: Sequence[Place],
    spans: Sequence[Place],
    *,
    cache_length: int,
    dtype: torch.dtype,
    device: torch.device,
) -> AttentionPlan:
    """Plan a step of single tokens followed by longer runs."""
    positions = torch.cat([torch.arange(p.start, p.stop) for p in (*singles, *spans)])
    rows = torch.cat([torch.full((p.tokens,), p.row) for p in (*singles, *spans)])
    planned: list[Span] = []
    first = len(singles)
    for place in spans:
        planned.append(Span(place=place, first=first, device=device))
        first += place.tokens
    return AttentionPlan(
        index=(rows * cache_length + positions).to(device),
        positions=positions.to(device),
        singles=_plan_singles(singles, cache_length, dtype, device) if singles else None,
        spans=tuple(planned),
    )


def _plan_singles(
    places: Sequence[Place], cache_length: int, dtype: torch.dtype, device: torch.device
) -> Singles:
    row_count = max(place.row for place in places) + 1
    positions = torch.zeros(row_count, dtype=torch.long)
    for place in places:
        positions[place.row] = place.start
    tiles = -(-max(place.stop for place in places) // LENGTH_TILE)
    return Singles(
        rows=torch.tensor([place.row for place in places], device=device),
        row_count=row_count,
        length=min(tiles * LENGTH_TILE, cache_length),
        positions=positions.to(device),
        dtype=dtype,
    )


def _visible(positions: Tensor, columns: Tensor, window: int | None) -> Tensor:
    seen = columns <= positions
    return seen if window is None else seen & (columns > positions - window)
