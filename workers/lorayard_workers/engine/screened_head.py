"""The likeliest token of greedy rows, without computing every logit exactly.

An 8-bit copy of the output projection gives each token an upper bound of its logit, in a quarter of the time
of the real one (AVX512-VNNI beside AVX512-bf16). The exact logit of the most promising token is a lower bound
of the best; only tokens whose upper bound reaches it are computed exactly, a few dozen of 262,144.

With W = sQ + R (Q signed bytes) and h = aq + e (q signed bytes), token v's logit differs from the product of
bytes a s_v (q . Q_v) by h . R_v + e . s_v Q_v, hence by at most |h| |R_v| + |e| |s_v Q_v| (Cauchy-Schwarz).
One input that is far larger than the rest would make a, and with it e, large for all: inputs that are usually
large are written as the sum of several bytes, and their column of Q stands as often in the copy.
Divided by a, that is a bias of the product, with the largest |h|/a and |e|/a of the step's rows. Float noise
of the bound itself is covered by `_SLACK` and `_noise`. So the answer is the argmax of the exact logits, the
lowest token where several are equal. Where the full projection has run anyhow, whose logits are rounded, the
same token is found among those that rounding may have brought to the top: which of the two ways a step takes
changes no token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog
import torch
from torch import Tensor, nn

from lorayard_shared.logs import Event
from lorayard_workers.engine.int8_kernel import (
    LEAST_SCALE,
    LEVELS,
    MAX_IN_FEATURES,
    ZERO_POINT,
    int8_is_exact,
    multiply_bytes,
    pack_bytes,
    quantize_weight,
)
from lorayard_workers.engine.timing import fastest_seconds

_log = structlog.stdlib.get_logger(__name__)

MAX_CANDIDATES = 2048
"""For a row; one with more is left to the full projection: 27 ms for a single row of Gemma 3 270M, while so
many candidates take 3."""

_SPREAD = 1 / 20
"""At least so many bytes more than inputs, up to whole `_STRIDE`s. With them a row of Gemma 3 270M has 36
candidates on text (median; 99th percentile 224), without 108 (2,056); with random adapters 16 (260), without
64 (38,636). Four times as many bytes bring 28 (160). A few tokens that mean nothing told what is large."""
_STRIDE = 64
"""Bytes that the kernel takes at once."""

_BLOCK = 512
"""Tokens whose bounds are searched together; also where a vocabulary is padded to."""

_ROUNDING = 2.0**-23
"""Relative, of a number in fp32 (really half of it); a sum of n has at most n of them."""

_SLACK = 256 * _ROUNDING
"""For a handful of roundings, also of a bias that is up to sqrt(in) times as large as the row needs."""

_TRIAL_ROWS = 256
"""Rows seen before misses are judged: some 16 steps of 16, so that one odd batch decides nothing."""
_MISSES_PAY = 4
"""The two together cost more than the full projection alone once a third of 16 rows miss."""

_BUILD_ROWS = 8192
"""Of the weight, rounded at a time: fp32 copies of all of it would take 1.3 GB."""

_MAY_HIDE = 2.0**-6
"""Of the largest logit in bf16: how far below it rounding can have put the true best. Each of the two is off
by 2^-8 of itself at most, and the floor itself is rounded once more."""

_EXACT_VALUES = 1 << 21
"""Of weights, computed at a time where there are many candidates: in fp64, three times 17 MB."""

_UNDERFLOW = 2.0**-110
"""A logit in bf16 or a sum in fp32 loses less than this where its parts become too small for their type."""

_EXPONENTS = 126
"""Rows are brought to a size of 1 by a power of two up to this: nothing is rounded, no square overflows."""

MIN_WEIGHTS = 1 << 23
"""Of the projection: a smaller one takes under 3 ms for 16 rows, of which there is little to win."""

_MEASURED_ROWS = (1, 16)

_GAIN = 1.25
"""How many times as fast the bounds must be: candidates and their exact logits take a fifth of that again."""


def screened_head(linear: nn.Linear, full: Callable[[Tensor], Tensor], usual: Tensor) -> ScreenedHead | None:
    """One for the output projection `linear`, where it is sound and measured to be faster than `full`.

    `usual`, [n, in], is some rows of what it is given: they decide how tight bounds are, not what is found.
    """
    weight, bias = linear.weight.detach(), cast("Tensor | None", linear.bias)
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or bias is not None:
        return None
    if weight.numel() < MIN_WEIGHTS or 2 * weight.shape[1] > MAX_IN_FEATURES or not int8_is_exact():
        return None
    if not all(torch.isfinite(end) for end in torch.aminmax(weight)):  # a mask of all would take a second
        return None
    found = ScreenedHead(weight, usual)
    gain = min(found.gain(full, rows) for rows in _MEASURED_ROWS)
    _log.info(
        Event.HEAD_SCREENED, times_as_fast=round(gain, 2), used=gain >= _GAIN, size_bytes=found.size_bytes
    )
    return found if gain >= _GAIN else None


class ScreenedHead:
    """Finds argmax(h . W_v) for rows h; see the module docstring."""

    def __init__(self, weight: Tensor, usual: Tensor | None = None) -> None:
        """`weight` is [vocabulary, in], finite, on the CPU; it is kept, beside a copy of a byte per value.

        `usual`: rows [n, in] like those to come; None: nothing is known of them.
        """
        self._weight = weight
        self._spread = Spread.of(weight.shape[1], usual)
        self._noise = weight.shape[1] * _ROUNDING
        vocabulary = len(weight)
        padded = -(-vocabulary // _BLOCK) * _BLOCK
        rounded = torch.zeros(padded, len(self._spread.inputs), dtype=torch.int8)
        self._scales = torch.ones(padded)
        self._lost = torch.zeros(padded)  # |R_v|
        self._kept = torch.zeros(padded)  # |s_v Q_v|
        for start in range(0, vocabulary, _BUILD_ROWS):
            self._round(weight[start : start + _BUILD_ROWS].detach().float(), rounded, start)
        self._padding = torch.zeros(padded)
        self._padding[vocabulary:] = -torch.inf
        self._bytes = pack_bytes(rounded)
        self._asked = self._missed = 0

    def _round(self, wide: Tensor, rounded: Tensor, start: int) -> None:
        part = slice(start, start + len(wide))
        narrow, self._scales[part] = quantize_weight(wide)
        rounded[part, : narrow.shape[1]] = narrow
        rounded[part, narrow.shape[1] :] = narrow[:, self._spread.inputs[narrow.shape[1] :]]
        kept = narrow.float() * self._scales[part, None]
        self._kept[part] = _lengths(kept).mul_(1 + self._noise)
        self._lost[part] = _lengths(wide - kept).mul_(1 + self._noise).add_(self._kept[part] * _SLACK)

    @property
    def size_bytes(self) -> int:
        """Memory beside the weight itself."""
        return self._bytes.numel() + 16 * len(self._scales)

    @property
    def pays(self) -> bool:
        """Whether few enough rows had to be left to the full projection so far."""
        return self._asked < _TRIAL_ROWS or self._missed * _MISSES_PAY < self._asked

    def likeliest(self, rows: Tensor) -> list[int | None]:
        """rows is [n, in]; the token of each, None where bounds leave too many or the row is not finite."""
        step = self._step(rows)
        bounds = self._upper_bounds(step)
        tops = bounds.amax(-1)
        block = tops.argmax(-1)
        inside = bounds[step.every, block].argmax(-1)
        promising = (block * _BLOCK + inside).clamp_(max=len(self._weight) - 1)
        reached = self._exact(step, step.every, promising) / step.scales.double()
        floor = (reached - _SLACK * reached.abs()).float()
        found = self._best(step, *self._candidates(step, bounds, tops, floor))
        self._asked += len(found)
        self._missed += found.count(None)
        return found

    def likeliest_of(self, rows: Tensor, logits: Tensor) -> list[int | None]:
        """The same tokens as `likeliest`, always decided, by the full projection's `logits` of the rows.

        None where a logit is not finite. Takes [n, in] and [n, vocabulary].
        """
        wide, size = _normalized(rows)
        blocks = logits.view(len(logits), -1, _BLOCK if logits.shape[1] % _BLOCK == 0 else logits.shape[1])
        tops = blocks.amax(-1)  # torch compares bf16 slowly: only few blocks are searched
        top = tops.amax(-1).float()
        off = (self._lost + self._kept).amax() * _lengths(wide) * self._noise * size + _UNDERFLOW
        floor = (top - _MAY_HIDE * top.abs() - 4 * off).to(logits.dtype)
        row, block = (tops >= floor[:, None]).nonzero(as_tuple=True)
        at, inside = (blocks[row, block] >= floor[row, None]).nonzero(as_tuple=True)
        row, token = row[at], block[at] * blocks.shape[-1] + inside
        counts = cast("list[int]", torch.bincount(row, minlength=len(rows)).tolist())
        near = torch.split(token, counts)
        return [self._best_of(one, tokens) for one, tokens in zip(wide, near, strict=True)]

    def _best_of(self, row: Tensor, tokens: Tensor) -> int | None:
        """The lowest of those with the largest exact logit; `tokens` ascend."""
        if len(tokens) < 2:
            return int(tokens[0]) if len(tokens) else None
        exact = self._products(row[None].double(), torch.zeros_like(tokens), tokens)
        return int(tokens[(exact == exact.amax()).nonzero()[0, 0]])

    def gain(self, full: Callable[[Tensor], Tensor], rows: int) -> float:
        """How many times as fast as the full projection the bounds are."""
        x = self._weight[:rows].clone()
        step = self._step(x)
        return fastest_seconds(lambda: full(x)) / fastest_seconds(lambda: self._upper_bounds(step))

    def _step(self, rows: Tensor) -> _Step:
        return _Step.of(rows, self._spread, self._noise)

    def _upper_bounds(self, step: _Step) -> Tensor:
        """[n, blocks, block], of logits over the row's scale; loose for rows that err less than others."""
        bias = self._lost * step.length.amax()
        bias.add_(self._kept * step.error.amax()).add_(self._padding)
        return multiply_bytes(step.bytes, self._bytes, self._scales, bias).view(len(step.every), -1, _BLOCK)

    def _candidates(self, step: _Step, bounds: Tensor, tops: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
        """(row, token) of every bound that reaches its row's floor; rows with too many have none."""
        row, block = (tops >= floor[:, None]).nonzero(as_tuple=True)
        loose = (step.length.amax() - step.length)[row, None] * self._lost.view(-1, _BLOCK)[block]
        loose += (step.error.amax() - step.error)[row, None] * self._kept.view(-1, _BLOCK)[block]
        at, inside = (bounds[row, block].sub_(loose) >= floor[row, None]).nonzero(as_tuple=True)
        row, token = row[at], block[at] * _BLOCK + inside
        few = (torch.bincount(row, minlength=len(floor)) <= MAX_CANDIDATES)[row]
        return row[few], token[few]

    def _best(self, step: _Step, row: Tensor, token: Tensor) -> list[int | None]:
        row, token = self._nearly_best(step, row, token)
        best: list[tuple[float, int] | None] = [None] * len(step.every)
        rows = cast("list[int]", row.tolist())
        tokens = cast("list[int]", token.tolist())
        exact = cast("list[float]", self._exact(step, row, token).tolist())
        for i, v, logit in zip(rows, tokens, exact, strict=True):
            now = best[i]
            if now is None or (logit, -v) > (now[0], -now[1]):
                best[i] = (logit, v)
        return [None if found is None else found[1] for found in best]

    def _nearly_best(self, step: _Step, row: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """Those that fp32 cannot tell from their row's best."""
        found = self._products(step.wide, row, token)
        best = torch.full((len(step.every),), -torch.inf).scatter_reduce_(0, row, found, "amax")
        off = (self._lost + self._kept).amax() * step.length * step.scales * self._noise
        near = found >= (best - 2 * off)[row]
        return row[near], token[near]

    def _exact(self, step: _Step, row: Tensor, token: Tensor) -> Tensor:
        """Logits of (row, token) pairs in fp64, in which products are exact and sums as good as that."""
        return self._products(step.wide.double(), row, token)

    def _products(self, rows: Tensor, row: Tensor, token: Tensor) -> Tensor:
        """Of the pairs (row, token), in the type of `rows` [n, in]."""
        many = max(1, _EXACT_VALUES // rows.shape[1])
        pairs = zip(torch.split(row, many), torch.split(token, many), strict=True)
        return torch.cat([(self._weight[v].to(rows.dtype) * rows[i]).sum(-1) for i, v in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Which input each byte of a row belongs to; large inputs have several."""

    inputs: Tensor  # [bytes]: every input, then further bytes of the large ones
    counts: Tensor  # [in]: bytes of each, in fp32
    place: Tensor  # [bytes]: which of its input's it is, from 0

    @staticmethod
    def of(width: int, usual: Tensor | None) -> Spread:
        """For `width` inputs, of which `usual` [n, width] has some rows; None: one byte for each."""
        counts = torch.ones(width)
        if usual is not None and usual.numel():
            sizes = usual.float().abs().mean(0).nan_to_num_(0.0)
            for _ in range(-(-int(width * (1 + _SPREAD)) // _STRIDE) * _STRIDE - width):
                counts[(sizes / counts).argmax()] += 1
        more = (counts - 1).long()
        extra = torch.arange(width).repeat_interleave(more)
        place = torch.arange(1, len(extra) + 1) - (more.cumsum(0) - more)[extra]
        return Spread(
            inputs=torch.cat([torch.arange(width), extra]),
            counts=counts,
            place=torch.cat([torch.zeros(width, dtype=torch.long), place]),
        )

    def apply(self, numbers: Tensor) -> Tensor:
        """Whole numbers [n, in] -> [n, bytes], of which those of an input sum up to its number.

        By Hermite's identity: the floors of (number + place) / count.
        """
        return numbers[:, self.inputs].add_(self.place).div_(self.counts[self.inputs]).floor_()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A step's rows in bytes, and how far the bytes may be off."""

    wide: Tensor  # [n, in], of size 1
    bytes: Tensor  # [n, in and more], unsigned
    scales: Tensor  # [n]
    length: Tensor  # [n]: |h| / a
    error: Tensor  # [n]: |e| / a
    every: Tensor  # 0..n

    @staticmethod
    def of(rows: Tensor, spread: Spread, noise: float) -> _Step:
        """Rows that are not finite get no candidates: comparisons with their floor are false."""
        wide, _ = _normalized(rows)
        scales = (wide / spread.counts).abs_().amax(1).div_(LEVELS).clamp_(min=LEAST_SCALE)
        coarse = (wide / scales[:, None]).round_()
        length = _lengths(wide)
        error = _lengths(wide - coarse * scales[:, None]).add_(length, alpha=_SLACK)
        length, error = ((t / scales * (1 + 2 * noise)).nan_to_num_(0.0, 0.0) for t in (length, error))
        slack = _SLACK * (length + error)
        return _Step(
            wide=wide,
            bytes=spread.apply(coarse.nan_to_num_(0.0)).add_(ZERO_POINT).to(torch.uint8),
            scales=scales,
            length=length + slack,
            error=error + slack,
            every=torch.arange(len(wide)),
        )


def _normalized(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [n, in] in fp32, each over a power of two [n] about its largest value: same likeliest token."""
    wide = rows.float()
    exponents = torch.frexp(wide.abs().amax(1)).exponent.clamp_(-_EXPONENTS, _EXPONENTS)
    size = torch.ldexp(torch.ones(len(wide)), exponents)
    return wide / size[:, None], size


def _lengths(rows: Tensor) -> Tensor:
    return cast(Tensor, torch.linalg.vector_norm(rows, dim=1))
