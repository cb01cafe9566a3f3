"""Rules that name several adapters (C7, B1)."""

from __future__ import annotations

import pytest
from tests.unit.rules_of_several.conftest import (
    DORA,
    OTHER,
    PIRATE,
    SUMS,
    THEIRS,
    asked,
    directory,
    left_out,
    made,
    part,
)

from lorayard_schemas.composition import Composition, CompositionPolicy
from lorayard_shared.jobs.resolve import BadCompositionError, UnknownAdapterError


def test_a_rule_of_several_makes_the_composition_that_it_describes__c7__b1() -> None:
    several = [part(SUMS, 0.7), part(f"{PIRATE}@1", 0.3)]
    book = directory({"adapters": several, "policy": "ties", "density": 0.5, "majority_sign": "frequency"})
    found = book.resolve(asked())
    assert (made(found), found.rule) == ([(SUMS, "2", 0.7), (PIRATE, "1", 0.3)], "default:r0")
    assert found.composition is not None
    by_hand = Composition.model_validate(
        {"parts": several, "policy": "ties", "density": 0.5, "majority_sign": "frequency"}
    )
    own = book.resolve(asked(f"+{SUMS}", composition=by_hand)).composition
    assert own is not None
    assert found.composition.applied == own.applied, "a job that asks for it gets the very same"


def test_a_rule_of_one_at_full_strength_is_that_adapter__c7() -> None:
    book = directory({"adapters": [part(f"{SUMS}@1")]})
    found = book.resolve(asked())
    assert (found.composition, found.ref is not None and found.ref.version) == (None, "1")


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        ("acme/tiny/none", UnknownAdapterError, "rule 'r0': adapter 'acme/tiny/none' is not registered"),
        (THEIRS, UnknownAdapterError, f"rule 'r0': adapter '{THEIRS}' is not registered"),
        (OTHER, BadCompositionError, "another base model"),
        (DORA, BadCompositionError, "DoRA"),
    ],
)
def test_a_rule_of_several_goes_without_none_unless_it_says_so__c7__d7(
    other: str, error: type[Exception], words: str
) -> None:
    several = {"adapters": [part(SUMS), part(other, 0.5)]}
    with pytest.raises(error, match=words):
        directory(several).resolve(asked())
    found = directory({**several, "on_missing": "skip"}).resolve(asked())
    assert (made(found), left_out(found)) == ([(SUMS, "2", 1.0)], [(other, "r0")])
    assert found.composition is None


def test_a_rule_of_which_nothing_is_left_refuses__c7() -> None:
    with pytest.raises(
        UnknownAdapterError, match=r"rule 'r0' has no adapter left: .*none' is not registered"
    ):
        directory({"adapters": [part("acme/tiny/none")], "on_missing": "skip"}).resolve(asked())


def test_one_that_is_left_of_several_is_weighed_alone__c7() -> None:
    several = [part(SUMS, 0.4), part("acme/tiny/none", 0.5)]
    found = directory({"adapters": several, "policy": "ties", "density": 0.5, "on_missing": "skip"}).resolve(
        asked()
    )
    assert made(found) == [(SUMS, "2", 0.4)]
    assert found.composition is not None
    assert found.composition.applied.policy is CompositionPolicy.SUM
