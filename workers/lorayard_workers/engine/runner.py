"""Runs one packed step: tokens of many rows, each with its own adapter, in one forward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import Tensor, nn

from lorayard_shared.logs import Event
from lorayard_workers.adapters.wide import WideModule
from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.attention_plan import Place, plan_attention
from lorayard_workers.engine.attention_reads import Together
from lorayard_workers.engine.base_linear import BaseLinear
from lorayard_workers.engine.blocks import blocks_for
from lorayard_workers.engine.fixed_shapes import FixedShapes
from lorayard_workers.engine.kv_cache import KvCache
from lorayard_workers.engine.lora_costs import USUAL_COSTS, LoraCosts
from lorayard_workers.engine.lora_measure import kept_costs
from lorayard_workers.engine.lora_plan import plan_lora
from lorayard_workers.engine.merging import Merged
from lorayard_workers.engine.patching import find_groups, find_wide, patch, turned_modules
from lorayard_workers.engine.probe import TOKENS
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.refusals import cache_shape, check_supported
from lorayard_workers.engine.screened_head import screened_head
from lorayard_workers.engine.self_check import CheckPiece, check_same, probe_model
from lorayard_workers.engine.steady_check import Products
from lorayard_workers.engine.step_context import StepContext
from lorayard_workers.engine.users import Users
from lorayard_workers.engine.wide import WideStore
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.columns import Columns, Use, use_order
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packing import HostAdapter

_log = structlog.stdlib.get_logger(__name__)

_PROBE_BLOCKS = blocks_for(TOKENS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One row's tokens in a step."""

    place: Place
    token_ids: Sequence[int]
    columns: Use | None  # None: the base model
    wants_logits: bool  # False while more of the prompt follows


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSize:
    """What a runner allocates."""

    columns: int
    rows: int
    row_tokens: int
    kv_blocks: int | None = None
    """Of the cache; None is enough for all rows at full length."""
    deterministic: bool = False
    """No row's rounding depends on its neighbours: see `fixed_shapes`."""
    screened_head: bool = False
    """Whether to keep a copy of the output projection in bytes for greedy rows, where that is faster."""

    @property
    def blocks(self) -> int:
        """Blocks of the cache that rows can have."""
        return self.rows * blocks_for(self.row_tokens) if self.kv_blocks is None else self.kv_blocks


class ModelRunner:
    """Owns the patched model, the LoRA columns and the cache. One thread at a time."""

    def __init__(self, base: BaseModel, size: RunnerSize) -> None:
        """Patches `base.model` for good. Raises BaseModelUnsupportedError."""
        check_supported(base)
        seen = probe_model(base)
        found = find_groups(base)
        self.layouts: tuple[GroupLayout, ...] = tuple(group.layout for group in found)
        self.wide_modules: tuple[WideModule, ...] = find_wide(base)
        self.base_weights = BaseWeights(
            folder=base.folder, turned=turned_modules(base), unchanged=base.files_unchanged
        )
        self._wide = WideStore()
        self._model: Any = base.model
        self._size = size
        self.lora_costs: LoraCosts = USUAL_COSTS
        """Decides the form of each step."""
        self._dtype: torch.dtype = base.model.dtype
        self._device: torch.device = base.model.device
        layers, kv_heads, head_width = cache_shape(base)
        self.cache = KvCache(
            layers=layers,
            blocks=size.blocks,
            kv_heads=kv_heads,
            head_width=head_width,
            dtype=self._dtype,
            device=self._device,
        )
        self._context = StepContext(cache=self.cache)
        linear: nn.Linear = base.model.get_output_embeddings()
        self._groups = patch(base, found, size.columns, self._context)
        self._head: Any = base.model.get_output_embeddings()
        base.model.get_input_embeddings().register_forward_hook(self._embed)
        fits = size.screened_head and base.quantization is BaseQuantization.NONE
        self.screened = screened_head(linear, self._head, seen.hidden) if fits else None
        self._shapes: FixedShapes | None = None
        if size.deterministic:
            self._fix_shapes(base, [int(token) for token in seen.ids[0]])
        check_same(base, seen, self._run_check, rows=min(size.rows, size.blocks // _PROBE_BLOCKS))

    def _fix_shapes(self, base: BaseModel, token_ids: Sequence[int]) -> None:
        """Steady ones where products are; tried at start."""
        _, kv_heads, head_width = cache_shape(base)
        shapes = FixedShapes(rows=self._size.rows, columns=self._size.columns, steady=True, dense=False)
        products = Products(
            linears=[group.base for group in self._groups],
            quantization=base.quantization,
            head=self._head,
            head_shape=(self.wide_modules[0].in_features, self._head.vocabulary),
            shapes=shapes,
            kv_heads=kv_heads,
            query_share=base.model.config.num_attention_heads // kv_heads,
            head_width=head_width,
        )
        self._shapes = shapes
        with torch.inference_mode():
            steady = products.are_steady() and self._rows_agree(token_ids)
            dense = steady and products.lora_is_steady()
        self._shapes = replace(shapes, steady=steady, dense=dense)
        _log.info(Event.DETERMINISTIC_SHAPES_CHOSEN, rows_share_products=steady, lora_too=dense)

    @property
    def slot_bytes(self) -> int:
        """Device memory of all LoRA columns, and of what residents bring for embedding and head."""
        return sum(group.size_bytes for group in self._groups) + self._wide.size_bytes

    @property
    def base_bytes(self) -> int:
        """Memory of the base model's weights."""
        held: dict[int, int] = {weight.data_ptr(): weight.nbytes for weight in self._model.parameters()}
        linears: list[BaseLinear] = [*(group.base for group in self._groups), self._head.linear]
        return sum(held.values()) + sum(linear.bytes_beside(held) for linear in linears)

    def measure_lora_costs(self, folder: Path) -> None:
        """Choose the form of each step by this machine's own figures, which are kept in `folder`."""
        self.lora_costs = kept_costs(self._groups, folder)

    def write_adapter(self, columns: Columns, adapter: HostAdapter) -> None:
        """Copy an adapter into its columns."""
        for group, weights in zip(self._groups, adapter.groups, strict=True):
            group.write(columns, weights)
        self._wide.write(columns, adapter.wide, self._device)

    def retain(self, residents: Iterable[Columns]) -> None:
        """Free what adapters in other columns have left outside the columns."""
        self._wide.retain(residents)

    @property
    def linears(self) -> list[tuple[GroupLayout, BaseLinear]]:
        """The groups' own, in their order."""
        return [(layout, group.base) for layout, group in zip(self.layouts, self._groups, strict=True)]

    def wear(self, merged: Merged | None) -> None:
        """Compute with one adapter folded in, or (None) with the base model's own weights again.

        Not between the steps of one row. All weights change, or none.
        """
        kernels = [None] * len(self._groups) if merged is None else merged.kernels
        for group, kernel in list(zip(self._groups, kernels, strict=True)):
            group.base.wear(kernel)

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """Logits [n, vocabulary] of the last token of each piece that wants them, in their order."""
        return self.logits(self.hidden(pieces))

    def logits(self, hidden: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """[n, width] of the last layer -> [n, vocabulary].

        `rows`: which of the step's rows that want logits, all that are `head_adapted` among them; None: all.
        """
        if not len(hidden):  # every piece is the middle of a prompt
            return hidden.new_zeros(0, self._head.vocabulary)
        shapes = self._shapes
        found: Tensor = self._head(hidden) if shapes is None else self._fixed_logits(hidden, shapes)
        self._wide.add_logits(hidden, found, rows)
        return found

    def _fixed_logits(self, hidden: Tensor, shapes: FixedShapes) -> Tensor:
        found: list[Tensor] = []
        for few in torch.split(hidden, shapes.most_logit_rows):
            padding = few.new_zeros(shapes.logit_rows(len(few)) - len(few), few.shape[1])
            found.append(self._head(torch.cat([few, padding]))[: len(few)])
        return torch.cat(found)

    @property
    def head_adapted(self) -> frozenset[int]:
        """Of the rows in the step that want logits, those whose adapter changes these beside the head."""
        return self._wide.changed_rows

    def hidden(self, pieces: Sequence[Piece]) -> Tensor:
        """What `logits` takes, for each piece that wants them: [n, width] in their order."""
        shapes = self._shapes
        found = self._hidden(pieces) if shapes is None else self._fixed_hidden(pieces, shapes)
        wanted = [piece.columns for piece in pieces if piece.wants_logits]
        rows = [(row, row + 1, columns) for row, columns in enumerate(wanted)]
        self._wide.plan_rows(Users(runs=rows, device=self._device), apart=shapes is not None)
        return found

    def _fixed_hidden(self, pieces: Sequence[Piece], shapes: FixedShapes) -> Tensor:
        found: dict[int, Tensor] = {}
        kept = torch.empty(0)
        for part in shapes.forwards([piece.place.tokens for piece in pieces]):
            kept = self._hidden([pieces[i] for i in part.pieces], pad_to=part.tokens)
            found |= zip([i for i in part.pieces if pieces[i].wants_logits], kept, strict=True)
        return torch.stack([found[i] for i in sorted(found)]) if found else kept

    def _hidden(self, pieces: Sequence[Piece], *, pad_to: int | None = None) -> Tensor:
        """`pad_to`: with so many tokens, of which the rest is nobody's."""
        order = sorted(range(len(pieces)), key=lambda i: _step_order(pieces[i]))
        singles = [pieces[i] for i in order if pieces[i].place.tokens == 1]
        spans = [pieces[i] for i in order if pieces[i].place.tokens > 1]
        self._plan(singles, spans, pad_to)
        last: dict[int, int] = {}
        stop = 0
        for i in order:
            stop += pieces[i].place.tokens
            last[i] = stop - 1
        wanted = [i for i in range(len(pieces)) if pieces[i].wants_logits]
        keep = [last[i] for i in wanted]
        runs = [(last[i] + 1 - pieces[i].place.tokens, last[i] + 1, pieces[i].columns) for i in order]
        self._context.users = users = Users(runs=runs, device=self._device)
        self._wide.plan_tokens(users, apart=pad_to is not None)
        return self._run([*singles, *spans], keep)

    def _run_check(self, pieces: Sequence[CheckPiece]) -> Tensor:
        """The start-up check's pieces."""
        return self.forward(self._probe_pieces(pieces))

    def _probe_pieces(self, pieces: Sequence[CheckPiece]) -> list[Piece]:
        """In the first blocks, cleared: no row has one yet."""
        tables = {p.row: range(1 + p.row * _PROBE_BLOCKS, 1 + (p.row + 1) * _PROBE_BLOCKS) for p in pieces}
        for piece in pieces:
            if piece.start == 0:
                self.cache.clear(tables[piece.row])
        return [
            Piece(
                place=Place(blocks=tables[piece.row], start=piece.start, tokens=len(piece.token_ids)),
                token_ids=piece.token_ids,
                columns=None,
                wants_logits=True,
            )
            for piece in pieces
        ]

    def _rows_agree(self, token_ids: Sequence[int]) -> bool:
        """Whether rows that say the same get the same bits, alone and together: norms and the like too."""
        rows = min(self._size.rows, self._size.blocks // _PROBE_BLOCKS)
        for start, ids in ((0, token_ids[:-1]), (len(token_ids) - 1, token_ids[-1:])):
            checked = [CheckPiece(row=row, start=start, token_ids=ids) for row in range(rows)]
            together = self.hidden(self._probe_pieces(checked))
            alone = self.hidden(self._probe_pieces(checked[:1]))
            if not torch.equal(together, alone.expand_as(together)):
                return False
        return True

    def _embed(self, module: object, given: tuple[Tensor, ...], found: Tensor) -> Tensor | None:
        """After the embedding has run."""
        return self._wide.add_embedded(given[0], found)

    def _plan(self, singles: Sequence[Piece], spans: Sequence[Piece], pad_to: int | None) -> None:
        self._context.lora = plan_lora(
            [piece.columns for piece in singles],
            [(piece.place.tokens, piece.columns) for piece in spans],
            self._device,
            costs=self.lora_costs,
            fixed=self._shapes,
        )
        self._context.attention = plan_attention(
            [piece.place for piece in singles],
            [piece.place for piece in spans],
            dtype=self._dtype,
            device=self._device,
            together=_together(self._shapes),
            pad_to=pad_to,
        )

    def _run(self, pieces: Sequence[Piece], keep: Sequence[int]) -> Tensor:
        attention = self._context.attention
        assert attention is not None  # planned just before
        ids = torch.tensor([token for piece in pieces for token in piece.token_ids] + [0] * attention.padding)
        try:
            output = self._model.base_model(
                input_ids=ids.to(self._device)[None],
                position_ids=attention.positions[None],
                use_cache=False,
            )
            hidden: Tensor = output.last_hidden_state[0]
        finally:
            for group in self._groups:
                group.forget()
        return hidden[torch.tensor(keep, dtype=torch.long, device=self._device)]


def _together(shapes: FixedShapes | None) -> Together:
    if shapes is None:
        return Together.CHEAPEST
    return Together.EQUAL if shapes.steady else Together.NONE


def _step_order(piece: Piece) -> tuple[bool, bool, tuple[int, int, Columns, tuple[float, ...]]]:
    """Single tokens first; within each kind adapters first, neighbours by adapter."""
    return piece.place.tokens > 1, piece.columns is None, use_order(piece.columns)
