"""Whether a row's products come out the same bits however many rows share them, tried at start.

A CPU's kernels walk the tokens of a product in tiles, and add up each output over the inputs in one order: so
most often a token's result does not depend on how many others there are or where it stands. Nobody promises
that, and it depends on type, shape and threads: oneDNN's bf16 kernels keep to it from two tokens on, fp32's
only from sixteen. So every count of tokens that a step may have is tried with every shape of the model, and
rows share products in deterministic mode only where all agree.

Where the numbers may be ours, they cancel: of each sum nothing is left but its rounding, and another order of
adding shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, mm, nn
from torch.nn.functional import scaled_dot_product_attention

from lorayard_workers.engine.base_linear import BaseLinear
from lorayard_workers.engine.blocks import BLOCK_TOKENS
from lorayard_workers.engine.fixed_shapes import MAX_LOGIT_ROWS, MAX_TOKENS, TOKENS, FixedShapes
from lorayard_workers.engine.quantization import BaseQuantization

_DISTINCT = 3
"""Rows that take turns: prime to every tile, so that each stands at every place of one."""

_LOGITS = 1 << 20
"""Compared for each count: the head's own numbers do not cancel, and about one in 10,000 tells."""

_ATTENTION_BLOCKS = 4
"""Longer rows are walked in the same tiles."""

_PIECE = 8
"""Columns that lie together: an adapter's others may lie elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """All that a step multiplies."""

    linears: Sequence[BaseLinear]
    quantization: BaseQuantization
    head: Callable[[Tensor], Tensor]
    head_shape: tuple[int, int]  # (in, out)
    shapes: FixedShapes
    kv_heads: int
    query_share: int  # query heads of each
    head_width: int

    def are_steady(self) -> bool:
        """Whether a row gets the same bits in any company, in steady shapes; LoRA apart."""
        return self._attention() and all(map(self._linear, self._distinct())) and self._head()

    def lora_is_steady(self) -> bool:
        """Whether it does where all single tokens meet all LoRA columns."""
        return all(self._lora_down(one) and self._lora_up(one) for one in self._distinct())

    def _distinct(self) -> list[BaseLinear]:
        """One of each shape."""
        return list({(one.in_features, one.out_features, one.has_bias): one for one in self.linears}.values())

    def _linear(self, like: BaseLinear) -> bool:
        """With another weight of its shape."""
        out = sum(like.out_features)
        member = nn.Linear(1, 1, bias=like.has_bias, dtype=like.dtype, device=like.device)
        member.in_features, member.out_features = like.in_features, out
        member.weight = nn.Parameter(_opposed(out, like.in_features, like), requires_grad=False)
        if like.has_bias:
            member.bias = nn.Parameter(_zeros(out, like), requires_grad=False)
        return _agree(BaseLinear([member], self.quantization), _mirrored(MAX_TOKENS, like.in_features, like))

    def _head(self) -> bool:
        width, vocabulary = self.head_shape
        rows = min(MAX_LOGIT_ROWS, self.shapes.logit_rows(self.shapes.rows))
        draws = -(-_LOGITS // (TOKENS * vocabulary))
        return all(
            _agree(self.head, _repeated(_drawn((_DISTINCT, width), self.linears[0], seed), rows))
            for seed in range(draws)
        )

    def _lora_down(self, like: BaseLinear) -> bool:
        """A of every column at once: the same for any number of columns and tokens."""
        a = _opposed(self.shapes.columns * len(like.out_features), like.in_features, like)
        x = _mirrored(self.shapes.lora_tokens(self.shapes.rows), like.in_features, like)
        whole = mm(a, x[:TOKENS].t())

        def agrees(used: int) -> bool:
            return _agree(lambda few: mm(a[:used], few.t()).t(), x, whole[:used].t()[:_DISTINCT])

        return all(agrees(width * len(like.out_features)) for width in self._widths())

    def _lora_up(self, like: BaseLinear) -> bool:
        """B of every column at once, all but an adapter's own being zero: the same wherever these lie."""
        return all(self._share(out, like) for out in sorted(set(like.out_features)))

    def _share(self, out: int, like: BaseLinear) -> bool:
        rank = min(2 * _PIECE, self.shapes.columns)
        own = _mirrored(self.shapes.lora_tokens(self.shapes.rows), rank, like)
        b, others = _opposed(out, rank, like).t(), _drawn((self.shapes.columns, out), like, seed=3)

        def shared(few: Tensor, columns: Tensor, width: int) -> Tensor:
            hidden = few.new_zeros(width, len(like.out_features), len(few))  # as A's product leaves it
            hidden[columns, -1] = few.t()
            return mm(hidden.permute(1, 2, 0)[-1], others[:width].index_copy(0, columns, b))

        tried = [(columns, width) for width in self._widths() for columns in _places(rank, width, like)]
        first = shared(own[:TOKENS], *tried[0])[:_DISTINCT]
        return all(_agree(partial(shared, columns=at, width=width), own, first) for at, width in tried)

    def _widths(self) -> list[int]:
        return sorted(set(map(self.shapes.lora_columns, range(1, self.shapes.columns + 1))))

    def _attention(self) -> bool:
        """Single tokens of equally long rows."""
        return all(self._attends(blocks * BLOCK_TOKENS) for blocks in range(1, _ATTENTION_BLOCKS + 1))

    def _attends(self, length: int) -> bool:
        like = self.linears[0]
        rows = self.shapes.rows
        query, keys, values = (
            _drawn((rows, self.kv_heads, tokens, self.head_width), like, seed)
            for seed, tokens in enumerate((self.query_share, length, length), start=3)
        )
        mask = _zeros((rows, 1, 1, length), like)
        mask[::2, ..., -(length // 3) :] = float("-inf")

        def attend(own: slice) -> Tensor:
            return scaled_dot_product_attention(query[own], keys[own], values[own], attn_mask=mask[own])

        alone = torch.cat([attend(slice(row, row + 1)) for row in range(rows)])
        return all(torch.equal(attend(slice(n)), alone[:n]) for n in range(2, rows + 1))


def _agree(product: Callable[[Tensor], Tensor], x: Tensor, first: Tensor | None = None) -> bool:
    """Whether the product is the same for every count of the rows of x, of which `_DISTINCT` take turns."""
    known = product(x[:TOKENS])[:_DISTINCT] if first is None else first
    counts = range(TOKENS, len(x) + 1, TOKENS)
    return all(torch.equal(product(x[:count]), _repeated(known, count)) for count in counts)


def _places(rank: int, width: int, like: BaseLinear) -> list[Tensor]:
    """Columns of an adapter: together in front, in the middle and at the end, and in two parts."""
    columns, spare = torch.arange(rank, device=like.device), width - rank
    apart = torch.where(columns < _PIECE, columns, columns + spare)
    return [columns, columns + spare // 2 // _PIECE * _PIECE, columns + spare, apart] if spare else [columns]


def _mirrored(rows: int, width: int, like: BaseLinear) -> Tensor:
    """[rows, width] whose second half is the first one backwards."""
    half = _drawn((_DISTINCT, -(-width // 2)), like, seed=1)
    whole = torch.cat([half, half.flip(1)], 1)[:, :width]
    return _repeated(whole, rows)


def _opposed(rows: int, width: int, like: BaseLinear) -> Tensor:
    """[rows, width] whose products with `_mirrored` are nothing but rounding."""
    half = _drawn((rows, -(-width // 2)), like, seed=2)
    return torch.cat([half, -half.flip(1)], 1)[:, :width].contiguous()


def _drawn(shape: tuple[int, ...], like: BaseLinear, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(like.dtype).to(like.device)


def _zeros(shape: int | tuple[int, ...], like: BaseLinear) -> Tensor:
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


def _repeated(few: Tensor, rows: int) -> Tensor:
    """[rows, ...]: the few, one after another, over and over."""
    return few.repeat(-(-rows // len(few)), 1)[:rows]
