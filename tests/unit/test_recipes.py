"""Recipes of derived adapters are there as long as a row wants them, and no longer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.request import Composition, CompositionPolicy
from lorayard_workers.memory.recipes import Recipes

WANTED = Composition(parts=(), policy=CompositionPolicy.CAT)
STEPS = st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 4))


@given(steps=st.lists(STEPS, max_size=60))
def test_a_recipe_lives_as_long_as_a_row_that_holds_it__c7(steps: list[tuple[bool, str, int]]) -> None:
    recipes = Recipes()
    held: set[tuple[str, int]] = set()
    for holds, digest, row in steps:
        if holds:
            recipes.hold(digest, WANTED, row)
            held.add((digest, row))
        else:
            recipes.release(digest, row)  # also twice, and of what was never held
            held.discard((digest, row))
        wanted = {name for name, _ in held}
        assert len(recipes) == len(wanted)
        assert {name for name in "abc" if recipes.get(name) is WANTED} == wanted
