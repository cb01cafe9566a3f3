"""Which residents give up their place for adapters wanted for too long (B9, B11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.drains import (
    Claim,
    Holder,
    Parts,
    Want,
    draining,
    plan_claims,
    spared_for_others,
)
from lorayard_workers.memory.slots import Room


def wants(*names: str) -> list[Want]:
    """One slot of 8 columns each, the case where only the number of slots counts."""
    return [Want(parts=(name,), missing=Room(slots=1, columns=8)) for name in names]


def holders(**rows: int) -> dict[str, Holder]:
    return {name: Holder(columns=8, rows=used) for name, used in rows.items()}


def claimed(*names: str) -> Claim:
    return Claim(residents=frozenset(names), room=Room())


@pytest.mark.parametrize(
    ("aged", "held", "previous", "wanted"),
    [
        ("", holders(a=1), {}, {}),  # nobody waits too long
        ("x", holders(a=2, b=1), {}, {"x": "b"}),  # the fewest rows end soonest
        ("x", holders(b=1, a=1), {}, {"x": "a"}),  # a tie falls by name
        ("x", holders(a=1, b=2), {"x": "b"}, {"x": "b"}),  # a choice once made is kept
        ("x", holders(a=1), {"x": "g"}, {"x": "a"}),  # until its resident has left
        ("xy", holders(a=1, b=2), {}, {"x": "a", "y": "b"}),  # one resident each
        ("xy", holders(a=1), {}, {"x": "a"}),  # the longest waiting first
        ("xx", holders(a=1, b=1), {}, {"x": "a"}),  # two rows of one adapter need one slot
    ],
)
def test_with_equal_ranks_one_resident_drains_for_each__b9(
    aged: str, held: dict[str, Holder], previous: dict[str, str], wanted: dict[str, str]
) -> None:
    before: dict[Parts, Claim] = {(name,): claimed(held) for name, held in previous.items()}
    found = plan_claims(wants(*aged), held, Room(), before)
    assert found == {(name,): claimed(resident) for name, resident in wanted.items()}


def test_several_small_residents_drain_for_a_large_rank__b11() -> None:
    held = {name: Holder(columns=8, rows=rows) for name, rows in {"a": 3, "b": 1, "c": 2}.items()}
    big = Want(parts=("x",), missing=Room(slots=1, columns=24))
    found = plan_claims([big], held, Room(slots=5, columns=8), {})
    assert draining(found) == {"b", "c"}
    assert found["x",].room == Room(slots=1, columns=8)  # nobody else may have these meanwhile


def test_the_large_one_first_in_line_is_not_overtaken_by_smaller_wants__b9() -> None:
    """It cannot be met yet: whoever stands behind must not take what it needs next."""
    first = Want(parts=("x",), missing=Room(slots=1, columns=16))
    held = {"a": Holder(columns=8, rows=1), "b": Holder(columns=8, rows=1)}
    found = plan_claims([first, *wants("y", "z")], held, Room(), {})
    assert list(found) == [("x",)]


def test_a_composition_keeps_the_parts_that_are_there__c7() -> None:
    both = Want(parts=("a", "x"), missing=Room(slots=1, columns=8))
    found = plan_claims([both], holders(a=0, b=4), Room(), {})
    assert draining(found) == {"b"}
    assert spared_for_others(found, ("y",)).digests == {"a", "x", "b", "y"}
    assert spared_for_others(found, ("a", "x")).digests == {"a", "x"}


def test_what_waits_for_a_leaving_part_claims_nothing_yet__c7() -> None:
    both = Want(parts=("a", "y"), missing=Room(slots=1, columns=8))
    found = plan_claims([*wants("x"), both], holders(a=0, b=4), Room(), {})
    assert found == {("x",): claimed("a")}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 8)), max_size=6),
    st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(1, 8), st.integers(0, 4))),
    st.integers(0, 8),
)
def test_claims_suffice_and_are_disjoint__b9(
    aged: list[tuple[int, int]], held: dict[str, tuple[int, int]], free_columns: int
) -> None:
    line = [Want(parts=(f"w{n}",), missing=Room(slots=1, columns=8 * c)) for n, c in aged]
    there = {name: Holder(columns=8 * pages, rows=rows) for name, (pages, rows) in held.items()}
    free = Room(slots=2, columns=8 * free_columns)
    found = plan_claims(line, there, free, {})
    taken = [digest for claim in found.values() for digest in claim.residents]
    assert len(taken) == len(set(taken))
    assert free.holds(sum((claim.room for claim in found.values()), Room()))
    for want in line:
        claim = found.get(want.parts)
        if claim is not None:
            first = next(w for w in line if w.parts == want.parts)
            gained = Room(slots=len(claim.residents), columns=sum(there[d].columns for d in claim.residents))
            assert (claim.room + gained).holds(first.missing)
