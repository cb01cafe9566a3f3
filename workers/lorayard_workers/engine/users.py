"""Which tokens of a step use an adapter, for what does not go through the LoRA columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lorayard_workers.memory.columns import Columns, Use, columns_of, weights_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUse:
    """Tokens that use one adapter, and how strongly; None: all at full strength."""

    index: Tensor  # [n]: places in the step
    strengths: Tensor | None  # fp32 [n, 1]

    def scaled(self, update: Tensor) -> Tensor:
        """[n, width], as strong as each token wants it."""
        return update if self.strengths is None else update.mul_(self.strengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The runs of a step: (first token, token after the last, what they use)."""

    runs: Sequence[tuple[int, int, Use | None]]
    device: torch.device
    _found: dict[Columns, TokenUse | None] = field(default_factory=dict[Columns, TokenUse | None])

    def of(self, columns: Columns) -> TokenUse | None:
        """The tokens of the adapter that lies in these columns; None without any."""
        if columns not in self._found:
            self._found[columns] = self._find(columns)
        return self._found[columns]

    def _find(self, columns: Columns) -> TokenUse | None:
        index: list[int] = []
        strengths: list[float] = []
        for start, stop, use in self.runs:
            strength = 0.0 if use is None else _strength(use, columns)
            if strength:
                index += range(start, stop)
                strengths += [strength] * (stop - start)
        if not index:
            return None
        plain = all(strength == 1.0 for strength in strengths)
        return TokenUse(
            index=torch.tensor(index, device=self.device),
            strengths=None if plain else torch.tensor(strengths, device=self.device)[:, None],
        )


def _strength(use: Use, columns: Columns) -> float:
    """A row uses all columns of an adapter or none, and all equally."""
    own = columns_of(use)
    if columns[0] not in own:
        return 0.0
    weights = weights_of(use)
    return 1.0 if weights is None else weights[own.index(columns[0])]
