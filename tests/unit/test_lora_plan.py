"""Which form a step's adapters take, and that none is lost in it (C5)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.lora_costs import USUAL_COSTS, Corners, LoraCosts
from lorayard_workers.engine.lora_plan import LoraPlan, find_runs, plan_lora
from lorayard_workers.memory.columns import Blend, Columns, Use, blend, columns_of, use_order

CPU = torch.device("cpu")


def same_cost(milliseconds: float) -> Corners:
    """Whatever the size."""
    costs = dict.fromkeys(("few_few", "few_many", "many_few", "many_many"), milliseconds)
    return Corners(tokens=(1, 2), columns=(1, 2), **costs)


BUNDLES = LoraCosts(dense=same_cost(1e9), bundle=USUAL_COSTS.bundle)
DENSE = LoraCosts(dense=same_cost(0.0), bundle=same_cost(1.0))


def place(start: int, rank: int) -> Columns:
    return tuple(range(start, start + rank))


ADAPTERS: list[Use] = [
    *(place(start, 8) for start in (0, 8, 24)),
    *(place(start, 16) for start in (32, 48, 80)),
    place(96, 64),
    (*range(160, 168), *range(176, 184)),  # not neighbours
    Blend(columns=place(0, 16), weights=(0.5,) * 8 + (2.0,) * 8),
]


def numbers(tensor: torch.Tensor) -> list[int]:
    return [int(value) for value in tensor]


def computed(plan: LoraPlan, tokens: int) -> list[set[int]]:
    """The columns that reach each token."""
    found: list[set[int]] = [set() for _ in range(tokens)]
    if plan.dense is not None:
        for token in range(plan.dense.tokens):
            found[token] |= {c for c in range(plan.dense.columns) if not plan.dense.foreign[c, 0, token]}
    for bundle in plan.bundles:
        width = (bundle.columns.stop - bundle.columns.start) // bundle.adapters
        count = bundle.stop - bundle.start
        rows = list(range(count)) if bundle.rows is None else numbers(bundle.rows)
        taken = list(range(count)) if bundle.taken is None else numbers(bundle.taken)
        for token, place_in_bundle in enumerate(taken):
            assert rows[place_in_bundle] == token
            first = bundle.columns.start + place_in_bundle // (len(rows) // bundle.adapters) * width
            found[bundle.start + token] |= set(range(first, first + width))
    for segment in plan.segments:
        columns = segment.columns
        own = list(range(columns.start, columns.stop)) if isinstance(columns, slice) else numbers(columns)
        for token in range(segment.start, segment.stop):
            found[token] |= set(own)
    return found


@given(
    st.lists(st.sampled_from(ADAPTERS), max_size=24),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(2, 5), st.sampled_from([None, *ADAPTERS])), max_size=3),
    st.sampled_from([USUAL_COSTS, BUNDLES, DENSE]),
)
def test_every_token_meets_its_own_columns_and_no_others__c5_c6(
    uses: list[Use], base_tokens: int, spans: list[tuple[int, Use | None]], costs: LoraCosts
) -> None:
    singles: list[Use | None] = sorted(uses, key=use_order)
    singles += [None] * base_tokens
    plan = plan_lora(singles, spans, CPU, costs=costs)
    tokens: list[Use | None] = [*singles, *(use for count, use in spans for _ in range(count))]
    nothing = set[int]()
    wanted = [nothing if use is None else set(columns_of(use)) for use in tokens]
    assert computed(plan, len(tokens)) == wanted
    assert plan.tokens == max((i + 1 for i, use in enumerate(tokens) if use), default=0)


@given(st.lists(st.sampled_from([use for use in ADAPTERS[:7] if isinstance(use, tuple)]), max_size=24))
def test_runs_hold_one_rank_and_never_cost_more_than_each_adapter_alone__c5(used: list[Columns]) -> None:
    used.sort(key=use_order)
    runs = find_runs(used, BUNDLES)
    alone = [find_runs([one] * used.count(one), BUNDLES)[0] for one in dict.fromkeys(used)]
    assert sum(run.cost(BUNDLES) for run in runs) <= sum(run.cost(BUNDLES) for run in alone) + 1e-9
    assert sum(sum(run.counts) for run in runs) == len(used)


def test_the_cheaper_form_is_taken__c5() -> None:
    few: list[Use | None] = [place(0, 16)] * 8
    many: list[Use | None] = [place(16 * i, 16) for i in range(16)]
    costs = LoraCosts(
        dense=Corners(tokens=(2, 16), columns=(16, 128), few_few=1, few_many=9, many_few=1, many_many=9),
        bundle=Corners(tokens=(1, 4), columns=(16, 128), few_few=2, few_many=5, many_few=2, many_many=5),
    )
    assert plan_lora(few, [], CPU, costs=costs).dense is not None
    assert len(plan_lora(many, [], CPU, costs=costs).bundles) == 1


def test_estimates_are_the_corners_and_what_lies_between__c5() -> None:
    corners = Corners(tokens=(2, 6), columns=(10, 30), few_few=1, few_many=3, many_few=2, many_many=8)
    assert [corners.at(2, 10), corners.at(2, 30), corners.at(6, 10), corners.at(6, 30)] == [1, 3, 2, 8]
    assert corners.at(4, 20) == pytest.approx(3.5)
    assert corners.at(2, 0) == 0.0
    assert corners.at(2, -90) == 0.0
    with pytest.raises(ValueError, match="must rise"):
        Corners(tokens=(2, 2), columns=(1, 2), few_few=1, few_many=1, many_few=1, many_many=1)


def test_one_part_at_full_strength_is_no_blend__c7() -> None:
    assert blend([((3, 4), 1.0)]) == (3, 4)
    assert blend([((3, 4), 0.5)]) == Blend(columns=(3, 4), weights=(0.5, 0.5))
    assert blend([((8,), 1.0), ((3, 4), 2.0)]) == Blend(columns=(8, 3, 4), weights=(1.0, 2.0, 2.0))
