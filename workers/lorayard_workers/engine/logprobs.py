"""Log-probabilities of chosen tokens: of the model's own distribution, before penalties and temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor

from lorayard_workers.engine.filters import largest

MAX_ALTERNATIVES = 20
"""As OpenAI's `top_logprobs`."""

MAX_LOGPROBS = 65_536
"""Of one answer, chosen and alternatives together: some megabytes while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLogprob:
    """Of one chosen token, and of the likeliest ones at its place, in falling order."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def raw_logprob(logits: Tensor, token: int, alternatives: int) -> RawLogprob:
    """logits is [vocabulary]."""
    wide = logits.float()
    total = wide.logsumexp(0)
    top: tuple[tuple[int, float], ...] = ()
    if alternatives:
        values, tokens = largest(wide, alternatives)
        ids = cast("list[int]", tokens.tolist())
        found = cast("list[float]", (values - total).tolist())
        top = tuple(zip(ids, found, strict=True))
    return RawLogprob(token=token, logprob=float(wide[token] - total), top=top)
