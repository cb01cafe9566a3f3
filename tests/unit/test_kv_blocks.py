"""The books of the cache's blocks, how rows are read together, and who gives way (C11)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_workers.engine.attention_reads import Reach, cut_groups, spaced
from lorayard_workers.engine.blocks import BLANK_BLOCK, BLOCK_TOKENS, BlockPool, blocks_for
from lorayard_workers.engine.preemption import BlockHolder, choose_victim
from lorayard_workers.engine.row_blocks import RowBlocks
from lorayard_workers.errors import InvariantError


def make_tables(count: int) -> tuple[RowBlocks, list[int]]:
    cleared: list[int] = []
    return RowBlocks(pool=BlockPool(count=count), clear=cleared.extend), cleared


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["start", "grow", "release"]), st.integers(0, 5), st.integers(1, 600)),
    max_size=40,
)


@given(st.integers(1, 24), steps)
def test_no_block_is_lost_or_twice_whatever_rows_do__c11(count: int, taken: list[Step]) -> None:
    tables, cleared = make_tables(count)
    tokens: dict[int, int] = {}
    for what, row, wanted in taken:
        before = tables.pool.free
        cleared.clear()
        if what == "start" and row not in tokens:
            fits = tables.start(row, wanted, at_most=2 * wanted)
            assert fits == (blocks_for(wanted) <= before)
            tokens |= {row: wanted} if fits else {}
        elif what == "grow" and row in tokens:
            more = blocks_for(tokens[row] + wanted) - blocks_for(tokens[row])
            fits = tables.grow(row, tokens[row] + wanted)
            assert fits == (more <= before)
            tokens[row] += wanted if fits else 0
        elif what == "release":
            tables.release(row)
            tokens.pop(row, None)
        tables.check()
        assert before - tables.pool.free <= len(cleared)  # what a row gets has been zeroed
        assert all(len(tables.of(row)) == blocks_for(n) for row, n in tokens.items())
        assert all(BLANK_BLOCK not in tables.of(row) for row in tokens)
    for row in list(tokens):
        tables.release(row)
    assert tables.pool.free == count
    tables.check()


def test_rows_of_like_size_are_evenly_spaced_and_grow_in_place__c11() -> None:
    tables, _ = make_tables(64)
    for row in range(4):
        assert tables.start(row, 60, at_most=200)
    for row in range(4):
        assert tables.grow(row, 150)
    assert [list(tables.of(row)) for row in range(4)] == [[1, 2, 3], [5, 6, 7], [9, 10, 11], [13, 14, 15]]
    found = spaced([tables.of(row) for row in range(4)])
    assert found is not None
    assert (found.first, found.step, found.rows, found.blocks) == (1, 4, 4, 3)


def test_a_region_is_given_up_before_anybody_waits__c11() -> None:
    tables, _ = make_tables(4)
    assert tables.start("a", 1, at_most=4 * BLOCK_TOKENS)
    assert tables.start("b", 3 * BLOCK_TOKENS, at_most=3 * BLOCK_TOKENS)
    assert not tables.grow("a", BLOCK_TOKENS + 1)


def test_a_block_that_two_rows_claim_is_found() -> None:
    pool = BlockPool(count=4)
    table = pool.take(2, at=None)
    assert table is not None
    pool.check([table], [])
    with pytest.raises(InvariantError, match="kv blocks"):
        pool.check([table, table[:1]], [])


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ([[1, 2]], (1, 2, 1)),  # a row in one piece
        ([[1, 2], [5, 6], [13, 14]], (1, 4, 4)),  # one hole among four
        ([[1, 2], [5, 6], [25, 26]], None),  # more holes than rows
        ([[1, 2], [4, 6]], None),  # not in one piece
        ([[1, 2], [3]], None),  # of two lengths
    ],
)
def test_what_lies_evenly_is_read_in_place(
    tables: Sequence[Sequence[int]], wanted: tuple[int, int, int] | None
) -> None:
    found = spaced(tables)
    assert (found and (found.first, found.step, found.rows)) == wanted


@given(st.lists(st.integers(1, 30), min_size=1, max_size=16))
def test_each_token_is_read_once_and_long_rows_do_not_pad_short_ones(counts: list[int]) -> None:
    reaches = [Reach(blocks=[100 * i, *range(7, 6 + n)], position=0) for i, n in enumerate(counts, 1)]
    groups = cut_groups(reaches)
    assert sorted(i for group in groups for i in group) == list(range(len(counts)))
    read = sum(len(group) * max(counts[i] for i in group) for group in groups)
    assert read <= len(counts) * max(counts)
    if max(counts) > 8 * min(counts):
        assert len(groups) > 1 or len(counts) * max(counts) - sum(counts) < 30


@pytest.mark.parametrize(
    ("adapters", "victim"),
    [
        ("ab", 1),  # the oldest stays, whoever else runs
        ("aab", 1),  # the adapter with most rows gives way
        ("aabb", 3),  # of two the one with the youngest row
        ("abb", 2),
        ("a", None),
    ],
)
def test_the_youngest_of_the_adapter_with_most_rows_gives_way(adapters: str, victim: int | None) -> None:
    holders = [BlockHolder(number=i, adapter=name) for i, name in enumerate(adapters)]
    found = choose_victim(holders)
    assert (found and found.number) == victim


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=2, max_size=16))
def test_the_oldest_row_never_gives_way(adapters: list[str | None]) -> None:
    found = choose_victim([BlockHolder(number=i, adapter=name) for i, name in enumerate(adapters)])
    assert found is not None
    assert found.number != 0
