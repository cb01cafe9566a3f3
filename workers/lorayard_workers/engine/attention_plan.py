"""Who may see what in a step: positions, reads, masks and spans, made once and read by every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorayard_workers.engine.attention_reads import Reach, Reads, Together, plan_reads, spaced, visible
from lorayard_workers.engine.blocks import BLOCK_TOKENS
from lorayard_workers.engine.kv_cache import BlockIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run of a row's tokens lies: `tokens` of them from position `start` of the row's blocks."""

    blocks: Sequence[int]
    start: int
    tokens: int

    @property
    def stop(self) -> int:
        """The position after the last."""
        return self.start + self.tokens

    def first_block(self, window: int | None) -> int:
        """Index of the first block that the run may see."""
        return 0 if window is None else max(0, self.start - window + 1) // BLOCK_TOKENS

    def seen_blocks(self, window: int | None) -> Sequence[int]:
        """From that one to the block of the last token."""
        return self.blocks[self.first_block(window) : (self.stop - 1) // BLOCK_TOKENS + 1]


@dataclass(slots=True, kw_only=True)
class Singles:
    """Tokens that attend alone, one per row."""

    places: tuple[Place, ...]
    dtype: torch.dtype
    device: torch.device
    together: Together = Together.CHEAPEST
    known: dict[int | None, Reads] = field(default_factory=dict[int | None, Reads])

    def reads(self, window: int | None) -> Reads:
        """For layers of this window; kept for the other layers of the step."""
        if window not in self.known:
            self.known[window] = plan_reads(
                [_reach(place, window) for place in self.places],
                window=window,
                dtype=self.dtype,
                device=self.device,
                together=self.together,
            )
        return self.known[window]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRead:
    """What a span reads of the cache."""

    blocks: BlockIndex
    length: int  # tokens of these blocks up to the span's last
    mask: Tensor | None  # boolean [tokens, length]; None where plain causal attention says the same


@dataclass(slots=True, kw_only=True)
class Span:
    """A run of tokens of one row, attending causally to the row so far."""

    place: Place
    first: int  # index of its first token in the step
    device: torch.device
    known: dict[int | None, SpanRead] = field(default_factory=dict[int | None, SpanRead])

    def read(self, window: int | None) -> SpanRead:
        """For layers of this window; kept for the other layers of the step."""
        if window not in self.known:
            begin = self.place.first_block(window) * BLOCK_TOKENS
            self.known[window] = SpanRead(
                blocks=self._blocks(window),
                length=self.place.stop - begin,
                mask=self._mask(window, begin),
            )
        return self.known[window]

    def _blocks(self, window: int | None) -> BlockIndex:
        blocks = self.place.seen_blocks(window)
        return spaced([blocks]) or torch.tensor(blocks, device=self.device)

    def _mask(self, window: int | None, begin: int) -> Tensor | None:
        if self.place.start == 0 and (window is None or self.place.stop <= window):
            return None
        positions = torch.arange(self.place.start, self.place.stop, device=self.device)
        columns = torch.arange(begin, self.place.stop, device=self.device)
        return visible(positions[:, None], columns[None], window)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """A step's tokens: `singles` first, then `spans` one after another."""

    index: Tensor  # [tokens]: flat cache position of each token
    positions: Tensor  # [tokens]: position of each token in its row
    singles: Singles | None
    spans: tuple[Span, ...]
    padding: int = 0  # tokens after these that nobody looks at


def plan_attention(
    singles: Sequence[Place],
    spans: Sequence[Place],
    *,
    dtype: torch.dtype,
    device: torch.device,
    together: Together = Together.CHEAPEST,
    pad_to: int | None = None,
) -> AttentionPlan:
    """Plan a step of single tokens followed by longer runs; `pad_to`: so many tokens in all."""
    places = (*singles, *spans)
    planned: list[Span] = []
    first = len(singles)
    for place in spans:
        planned.append(Span(place=place, first=first, device=device))
        first += place.tokens
    blank = torch.zeros(0 if pad_to is None else pad_to - first, dtype=torch.long)
    alone = Singles(places=tuple(singles), dtype=dtype, device=device, together=together)
    return AttentionPlan(
        index=torch.cat([_flat(place) for place in places]).to(device),
        positions=torch.cat([*(torch.arange(p.start, p.stop) for p in places), blank]).to(device),
        singles=alone if singles else None,
        spans=tuple(planned),
        padding=len(blank),
    )


def _flat(place: Place) -> Tensor:
    positions = torch.arange(place.start, place.stop)
    blocks = torch.tensor(place.blocks)[positions // BLOCK_TOKENS]
    return blocks * BLOCK_TOKENS + positions % BLOCK_TOKENS


def _reach(place: Place, window: int | None) -> Reach:
    return Reach(
        blocks=place.seen_blocks(window),
        position=place.start - place.first_block(window) * BLOCK_TOKENS,
    )
