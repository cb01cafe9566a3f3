"""Changes a row's logits by what it has read and written: bias, penalties, no early end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lorayard_workers.engine.request import Sampling

_FIRST_ROOM = 64


class Penalties:
    """Of one row. In transformers' order: bias, repetition, frequency and presence, then no early end.

    `repetition_penalty` is transformers' (over prompt and output; arXiv 1909.05858): positive logits are
    divided, negative ones multiplied. `frequency_penalty` and `presence_penalty` are OpenAI's (over the
    output): subtracted once for each time a token was written, and once if it was at all.
    """

    def __init__(self, sampling: Sampling, *, prompt_ids: Sequence[int], end_ids: Sequence[int]) -> None:
        """`end_ids` end the row, so they are not drawn before `min_new_tokens`."""
        self._sampling = sampling
        self._bias_ids = torch.tensor([token for token, _ in sampling.logit_bias], dtype=torch.int64)
        self._bias = torch.tensor([bias for _, bias in sampling.logit_bias], dtype=torch.float32)
        self._end_ids = torch.tensor(list(end_ids), dtype=torch.int64)
        self._ids = torch.tensor(list(prompt_ids), dtype=torch.int64)  # prompt, output, then room
        self._prompt_tokens = self._tokens = len(prompt_ids)

    @staticmethod
    def wanted(sampling: Sampling) -> bool:
        """Whether these settings change any logits."""
        return bool(
            sampling.logit_bias
            or sampling.repetition_penalty != 1.0
            or sampling.frequency_penalty
            or sampling.presence_penalty
            or sampling.min_new_tokens
        )

    def took(self, token: int) -> None:
        """A token was written."""
        if self._tokens == len(self._ids):
            room = self._ids.new_empty(max(_FIRST_ROOM, self._tokens))
            self._ids = torch.cat([self._ids, room])
        self._ids[self._tokens] = token
        self._tokens += 1

    def apply(self, logits: Tensor) -> None:
        """Change [vocabulary] in place."""
        self._to(logits.device)
        sampling = self._sampling
        logits.index_add_(0, self._bias_ids, self._bias)
        if sampling.repetition_penalty != 1.0:
            self._repetition(logits, sampling.repetition_penalty)
        written = self._ids[self._prompt_tokens : self._tokens]
        # A token that stands there twice is written twice with one value, or added twice: both are meant.
        if sampling.presence_penalty:
            logits[written] = logits[written] - sampling.presence_penalty
        if sampling.frequency_penalty:
            each = logits.new_full((len(written),), -sampling.frequency_penalty)
            logits.index_add_(0, written, each)
        if len(written) < sampling.min_new_tokens:
            logits[self._end_ids] = -math.inf

    def _repetition(self, logits: Tensor, penalty: float) -> None:
        seen = self._ids[: self._tokens]
        found = logits[seen]
        logits[seen] = torch.where(found < 0, found * penalty, found / penalty)

    def _to(self, device: torch.device) -> None:
        if self._ids.device != device:
            for name in ("_bias_ids", "_bias", "_end_ids", "_ids"):
                setattr(self, name, getattr(self, name).to(device))
