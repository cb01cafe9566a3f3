"""LoRA on embedding and head of the adapters in slots; `adapters.wide` says why it stands apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from lorayard_workers.adapters.wide import WideRole
from lorayard_workers.engine.users import TokenUse, Users
from lorayard_workers.memory.columns import Columns, columns_of
from lorayard_workers.memory.packing import WideWeights


@dataclass(slots=True, kw_only=True)
class WideStore:
    """Weights by the columns of their adapter's slot, and who uses them in the step in progress."""

    _held: dict[Columns, Mapping[WideRole, WideWeights]] = field(
        default_factory=dict[Columns, Mapping[WideRole, WideWeights]]
    )
    _tokens: list[tuple[WideWeights, TokenUse]] = field(default_factory=list[tuple[WideWeights, TokenUse]])
    _rows: list[tuple[WideWeights, TokenUse]] = field(default_factory=list[tuple[WideWeights, TokenUse]])

    @property
    def size_bytes(self) -> int:
        """Device memory in use."""
        return sum(one.size_bytes for wide in self._held.values() for one in wide.values())

    def retain(self, residents: Iterable[Columns]) -> None:
        """Forget everybody but these."""
        kept = set(residents)
        self._held = {columns: wide for columns, wide in self._held.items() if columns in kept}

    def write(self, columns: Columns, wide: Sequence[WideWeights], device: torch.device) -> None:
        """Take an adapter's weights, in place of those of whoever had any of its columns."""
        taken = set(columns)
        self._held = {own: held for own, held in self._held.items() if taken.isdisjoint(own)}
        if wide:
            own = {WideRole(one.role): one.to(device) for one in wide}
            self._held = {**self._held, columns: own}  # a new one: another thread may be reading its size

    def plan_tokens(self, tokens: Users, *, apart: bool = False) -> None:
        """Before each forward: who its tokens are.

        `apart`: each run by itself, and a sum in the order of its parts, so that no rounding depends on
        others of the same adapter or on who came into its slot first.
        """
        self._tokens = self._planned(WideRole.EMBEDDING, tokens, apart)

    def plan_rows(self, rows: Users, *, apart: bool = False) -> None:
        """Before each step's logits: whose they are; `apart` as for `plan_tokens`."""
        self._rows = self._planned(WideRole.HEAD, rows, apart)

    def _planned_apart(self, role: WideRole, users: Users) -> list[tuple[WideWeights, TokenUse]]:
        found: list[tuple[WideWeights, TokenUse]] = []
        for run in users.runs if self._held else ():
            alone = Users(runs=[run], device=users.device)
            places = {
                column: place for place, column in enumerate(() if run[2] is None else columns_of(run[2]))
            }
            parts = [own for own, held in self._held.items() if role in held and own[0] in places]
            for own in sorted(parts, key=lambda own: places[own[0]]):
                use = alone.of(own)
                assert use is not None  # it has this column
                found.append((self._held[own][role], use))
        return found

    def _planned(self, role: WideRole, users: Users, apart: bool) -> list[tuple[WideWeights, TokenUse]]:
        if apart:
            return self._planned_apart(role, users)
        found = ((held[role], users.of(columns)) for columns, held in self._held.items() if role in held)
        return [(weights, use) for weights, use in found if use is not None]

    def add_embedded(self, ids: Tensor, hidden: Tensor) -> Tensor | None:
        """The embedding's output [1, tokens, width] with the adapters' share; None where no token has one."""
        if not self._tokens:
            return None
        added = hidden.clone()
        for weights, use in self._tokens:
            rows = functional.embedding(ids[0, use.index], weights.a)
            added[0].index_add_(0, use.index, use.scaled(rows @ weights.b).to(added.dtype))
        return added

    @property
    def changed_rows(self) -> frozenset[int]:
        """Those that `add_logits` changes."""
        return frozenset(row for _, use in self._rows for row in cast("list[int]", use.index.tolist()))

    def add_logits(self, hidden: Tensor, logits: Tensor, rows: Sequence[int] | None = None) -> None:
        """hidden [rows, in], logits [rows, vocabulary]: only the rows of adapters that have such weights.

        `rows` are which of the step's, at least all `changed_rows`; None: all of the step.
        """
        for weights, use in self._rows:
            at = use.index if rows is None else _places(use.index, rows)
            update = use.scaled(functional.linear(hidden[at], weights.a) @ weights.b)
            logits.index_add_(0, at, update.to(logits.dtype))


def _places(index: Tensor, rows: Sequence[int]) -> Tensor:
    """Where the rows of `index` stand in `rows`."""
    places = {row: place for place, row in enumerate(rows)}
    return torch.tensor([places[row] for row in cast("list[int]", index.tolist())], device=index.device)
