"""An adapter that rules bring twice, in one version or in two (C7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.rules_of_several.conftest import (
    DORA,
    OTHER,
    PIRATE,
    POLITE,
    STYLE,
    SUMS,
    TASK,
    add,
    added_by,
    asked,
    directory,
    left_out,
    made,
    part,
)

from lorayard_schemas.codec import encode
from lorayard_schemas.composition import MAX_PARTS
from lorayard_schemas.rule_parts import Conflict
from lorayard_shared.jobs.resolve import BadCompositionError

TWICE = (f"{PIRATE}@1", -0.75)


@pytest.mark.parametrize(
    ("conflict", "second", "wanted", "by", "out"),
    [
        ("first", TWICE, [("2", 0.5)], ("r1",), [(f"{PIRATE}@1", "r2")]),
        ("last", TWICE, [("1", -0.75)], ("r2",), [(f"{PIRATE}@2", "r1")]),
        ("max", TWICE, [("1", -0.75)], ("r2",), [(f"{PIRATE}@2", "r1")]),
        ("max", (PIRATE, 0.25), [("2", 0.5)], ("r1",), [(f"{PIRATE}@2", "r2")]),
        ("sum", TWICE, [("2", 0.5), ("1", -0.75)], ("r1", "r2"), []),
        ("sum", (PIRATE, 0.25), [("2", 0.75)], ("r1", "r2"), []),
        ("sum", (PIRATE, -0.5), [("2", 0.5)], ("r1",), [(PIRATE, "r2")]),
        ("sum", (PIRATE, 99.9), [("2", 0.5)], ("r1",), [(PIRATE, "r2")]),
    ],
)
def test_an_adapter_that_comes_twice_is_seen_to_by_the_tables_policy__c7(
    conflict: str,
    second: tuple[str, float],
    wanted: list[tuple[str, float]],
    by: tuple[str, ...],
    out: list[tuple[str, str]],
) -> None:
    found = directory(TASK, STYLE, add(second), conflict=conflict).resolve(asked(task="sum"))
    assert made(found) == [(SUMS, "2", 1.0), *((PIRATE, *each) for each in wanted)]
    assert (added_by(found), left_out(found)) == (by, out)


def test_a_table_may_refuse_what_comes_twice__c7() -> None:
    book = directory(TASK, STYLE, add(TWICE), conflict="refuse")
    with pytest.raises(BadCompositionError, match=f"rule 'r2' names {PIRATE}@1, and {PIRATE}@2 is there"):
        book.resolve(asked(task="sum"))


def test_a_rule_can_put_another_version_in_the_place_of_what_was_chosen__c7() -> None:
    found = directory(TASK, add((f"{SUMS}@1", 1.0)), conflict="last").resolve(asked(task="sum"))
    assert (made(found), left_out(found)) == ([(SUMS, "1", 1.0)], [(f"{SUMS}@2", "")])
    assert found.composition is None


def test_one_rule_may_mix_two_versions__c7() -> None:
    several = {"adapters": [part(f"{SUMS}@1", 0.5), part(f"{SUMS}@2", 0.5)]}
    assert made(directory(several).resolve(asked())) == [(SUMS, "1", 0.5), (SUMS, "2", 0.5)]
    found = directory(several, add((SUMS, 3.0)), conflict="last").resolve(asked())
    assert made(found) == [(SUMS, "2", 3.0)]


ADDED = st.tuples(
    st.sampled_from([SUMS, f"{SUMS}@1", PIRATE, f"{PIRATE}@1", POLITE, OTHER, DORA, "acme/tiny/none"]),
    st.floats(-2, 2).filter(lambda weight: weight != 0),
)


@given(
    st.lists(st.lists(ADDED, min_size=1, max_size=3, unique_by=lambda one: one[0]), max_size=6),
    st.sampled_from(Conflict),
)
def test_whatever_rules_add_there_comes_a_sound_composition_or_a_refusal__c7(
    rules: list[list[tuple[str, float]]], conflict: Conflict
) -> None:
    book = directory(TASK, *(add(*parts) for parts in rules), conflict=conflict)
    try:
        found = book.resolve(asked(task="sum"))
    except BadCompositionError:
        assert conflict is Conflict.REFUSE
        return
    parts = made(found)
    assert 1 <= len(parts) <= MAX_PARTS
    assert len({(name, version) for name, version, _ in parts}) == len(parts)
    assert {name for name, _, _ in parts}.isdisjoint({OTHER, DORA})
    assert set(added_by(found)) <= {f"r{number}" for number in range(1, len(rules) + 1)}
    assert found == book.resolve(asked(task="sum")), "the same request gets the same"


COPY = "acme/tiny/copy"


@pytest.mark.parametrize(
    ("conflict", "weights", "says"),
    [
        ("sum", [1.5], "which has the weight of both now, 1.5"),
        ("first", [1.0], f"1 {SUMS}@2, which has the same bytes, stands"),
        ("last", [0.5], f"0.5 {COPY}@1, which has the same bytes, stands"),
    ],
)
def test_two_names_with_the_same_bytes_are_told_to_be_one__c7(
    conflict: str, weights: list[float], says: str
) -> None:
    book = directory(TASK, add((COPY, 0.5)), conflict=conflict)
    known = book.registry.known[SUMS]["2"]
    copy = known.model_copy(update={"name": COPY, "version": "1"})
    book.registry.on_change(copy.key, encode(copy))
    found = book.resolve(asked(task="sum"))
    assert [weight for _, _, weight in made(found)] == weights
    assert found.additions is not None
    (told,) = found.additions.left_out
    assert says in told.why
    assert told.rule == ("" if conflict == "last" else "r1")


def test_one_name_that_is_summed_is_told_nothing_of__c7() -> None:
    """Its weights were to be summed, and the answer has the sum."""
    found = directory(TASK, add((SUMS, 0.5)), conflict="sum").resolve(asked(task="sum"))
    assert (made(found), left_out(found)) == ([(SUMS, "2", 1.5)], [])
