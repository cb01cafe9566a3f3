"""Deterministic mode's shapes: every piece is run once, in a forward whose size was tried (C6)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.fixed_shapes import COLUMNS, MAX_LOGIT_ROWS, MAX_TOKENS, TOKENS, FixedShapes
from lorayard_workers.engine.kernels import MANY_ROWS

STEADY = FixedShapes(rows=16, columns=200, steady=True, dense=True)
APART = FixedShapes(rows=16, columns=200, steady=False, dense=False)

steps = st.lists(st.one_of(st.just(1), st.integers(2, 64)), max_size=16)


@given(tokens=steps, steady=st.booleans())
def test_every_piece_is_in_one_forward_that_has_room_for_it__c6(tokens: list[int], steady: bool) -> None:
    found = (STEADY if steady else APART).forwards(tokens)
    assert sorted(i for forward in found for i in forward.pieces) == list(range(len(tokens)))
    for forward in found:
        assert 0 < sum(tokens[i] for i in forward.pieces) <= forward.tokens


@given(tokens=steps)
def test_steady_forwards_have_a_size_that_was_tried_and_are_filled_before_another_begins(
    tokens: list[int],
) -> None:
    found = STEADY.forwards(tokens)
    assert all(forward.tokens % TOKENS == 0 and forward.tokens <= MAX_TOKENS for forward in found)
    assert all(
        sum(tokens[i] for i in (*one.pieces, other.pieces[0])) > MAX_TOKENS for one, other in pairwise(found)
    )


@given(tokens=steps)
def test_else_a_forward_has_the_size_of_its_own_row_or_one_for_all(tokens: list[int]) -> None:
    for forward in APART.forwards(tokens):
        if tokens[forward.pieces[0]] == 1:
            assert forward.tokens == 16
        else:
            (only,) = forward.pieces
            assert forward.tokens == APART.forwards([tokens[only]])[0].tokens
            assert forward.tokens < tokens[only] + 16


def test_logits_and_lora_columns_come_in_few_sizes() -> None:
    assert [STEADY.logit_rows(rows) for rows in (1, 4, 5, 16)] == [4, 4, 8, 16]
    assert [APART.logit_rows(rows) for rows in (1, 16)] == [16, 16]
    assert STEADY.most_logit_rows == MAX_LOGIT_ROWS
    assert [STEADY.lora_columns(count) for count in (1, 32, 33, 195)] == [COLUMNS, COLUMNS, 2 * COLUMNS, 200]
    assert MAX_TOKENS < MANY_ROWS  # from which on a kernel may multiply in another way
