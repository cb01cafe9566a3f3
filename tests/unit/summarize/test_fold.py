"""Partial summaries are combined in the same tree, whatever order they come in (E6)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard.summarize.fold import Fold, Group, Place


def run(leaves: int, fan_in: int, seed: int) -> tuple[str, list[Group]]:
    """Put leaves in a random order, some of them before the document's end is known."""
    order = random.Random(seed)
    fold, open_places, groups = Fold(fan_in), list[tuple[Place, str]](), list[Group]()

    def answer() -> None:
        place, text = open_places.pop(order.randrange(len(open_places)))
        fold.put(place, text)

    def combine() -> None:
        for group in fold.ready():
            groups.append(group)
            if not group.is_root:
                open_places.append((group.place, f"({''.join(group.texts)})"))

    for number in range(leaves):
        open_places.append((fold.add_leaf(), f"[{number}]"))
        if order.random() < 0.5:
            answer()
        combine()
    fold.end()
    combine()
    while open_places:
        answer()
        combine()
    root = groups[-1]
    return "".join(root.texts), groups


@settings(max_examples=150, deadline=None)
@given(st.integers(2, 60), st.integers(2, 7), st.integers(0, 10_000))
def test_every_leaf_is_combined_once_and_in_order__e6(leaves: int, fan_in: int, seed: int) -> None:
    text, groups = run(leaves, fan_in, seed)
    assert [int(part) for part in text.replace("(", "").replace(")", "").strip("[]").split("][")] == list(
        range(leaves)
    )
    assert [group.is_root for group in groups].count(True) == 1
    assert groups[-1].is_root
    assert all(2 <= len(group.texts) <= fan_in for group in groups)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(2, 7), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_order_of_the_answers_changes_nothing__e6(leaves: int, fan_in: int, one: int, other: int) -> None:
    (text, groups), (same, others) = run(leaves, fan_in, one), run(leaves, fan_in, other)
    assert text == same
    assert {group.place for group in groups} == {group.place for group in others}


def test_a_group_is_combined_before_the_document_is_read_to_its_end() -> None:
    fold = Fold(2)
    for text in "ab":
        fold.put(fold.add_leaf(), text)
    assert fold.ready() == []  # it may be all there is
    fold.add_leaf()
    (group,) = fold.ready()
    assert (group.texts, group.is_root) == (("a", "b"), False)


def test_one_at_a_time_makes_no_tree() -> None:
    with pytest.raises(ValueError, match="at least two"):
        Fold(1)
