"""The books of the cache's blocks, how rows are read together, and who gives way (C11)."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorayard_workers.engine.attention_reads import Reach, cut_groups, spaced
from lorayard_workers.engine.blocks import BLANK_BLOCK, BLOCK_TOKENS, MAX_REGION, BlockPool, blocks_for
from lorayard_workers.engine.preemption import BlockHolder, choose_victim
from lorayard_workers.engine.row_blocks import RowBlocks
from lorayard_workers.errors import InvariantError


def make_tables(count: int) -> tuple[RowBlocks, list[int]]:
    cleared: list[int] = []
    return RowBlocks(pool=BlockPool(count=count), clear=cleared.extend), cleared


def start(tables: RowBlocks, row: object, tokens: int, at_most: int, adapter: str = "a") -> int | None:
    """A row of `adapter` whose tokens are 0, 1, 2 ..."""
    return tables.start(row, range(tokens), at_most=at_most, adapter=adapter)


def blocks_shared(tables: RowBlocks, row: int, others: Iterable[int]) -> int:
    """Blocks of a row that other rows hold too."""
    return len(set(tables.of(row)) & {block for other in others for block in tables.of(other)})


Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["start", "grow", "keep", "forget", "release"]),
        st.integers(0, 5),
        st.integers(1, 600),
    ),
    max_size=60,
)


@given(st.integers(1, 24), steps)
@example(10, [("start", 0, 513), ("keep", 0, 1), ("start", 2, 65)])  # fits only beside what is shared
def test_no_block_is_lost_or_twice_whatever_rows_do__c11(count: int, taken: list[Step]) -> None:
    tables, cleared = make_tables(count)
    tokens: dict[int, int] = {}
    for what, row, wanted in taken:
        before = tables.pool.free
        cleared.clear()
        if what == "start" and row not in tokens:
            found = start(tables, row, wanted, 2 * wanted, "ab"[row % 2])
            spent = blocks_for(wanted) - blocks_shared(tables, row, tokens)
            assert spent <= before if found is not None else blocks_for(wanted) > before
            assert found is None or found < wanted  # one token at least is computed
            tokens |= {row: wanted} if found is not None else {}
        elif what == "grow" and row in tokens:
            more = blocks_for(tokens[row] + wanted) - blocks_for(tokens[row])
            fits = tables.grow(row, tokens[row] + wanted)
            assert fits == (more <= before)
            tokens[row] += wanted if fits else 0
        elif what == "keep" and row in tokens:
            tables.keep(row, range(tokens[row]), adapter="ab"[row % 2])
        elif what == "forget":
            tables.forget(row)
        elif what == "release":
            tables.release(row)
            tokens.pop(row, None)
        tables.check()
        rows = {row: set(tables.of(row)) for row in tokens}
        assert not any(rows[a] & rows[b] for a in rows for b in rows if a % 2 != b % 2)  # of two adapters
        assert all(len(tables.of(row)) == blocks_for(n) for row, n in tokens.items())
        assert all(BLANK_BLOCK not in tables.of(row) for row in tokens)
    for row in list(tokens):
        tables.release(row)
    assert tables.pool.free == count
    tables.check()


def test_rows_of_like_size_are_evenly_spaced_and_grow_in_place__c11() -> None:
    tables, _ = make_tables(64)
    for row in range(4):
        assert start(tables, row, 60, 200) is not None
    for row in range(4):
        assert tables.grow(row, 150)
    assert [list(tables.of(row)) for row in range(4)] == [[1, 2, 3], [5, 6, 7], [9, 10, 11], [13, 14, 15]]
    found = spaced([tables.of(row) for row in range(4)])
    assert found is not None
    assert (found.first, found.step, found.rows, found.blocks) == (1, 4, 4, 3)


@given(st.integers(1, 40), steps)
def test_a_region_is_the_lowest_free_one_or_the_one_used_longest_ago__c11(
    count: int, taken: list[Step]
) -> None:
    """Against a plain search over all blocks."""
    tables, _ = make_tables(count)
    pool = tables.pool
    for what, row, wanted in taken:
        if what in ("start", "grow") and not tables.of(row):
            size = min(MAX_REGION, 1 << (blocks_for(2 * wanted) - 1).bit_length())
            assert pool._find_region(size) == plain_region(pool, size)
            start(tables, row, wanted, 2 * wanted, "ab"[row % 2])
        elif what in ("keep", "release") and tables.of(row):
            tables.keep(row, range(BLOCK_TOKENS * len(tables.of(row))), adapter="ab"[row % 2])
            tables.release(row)
        tables.check()


def plain_region(pool: BlockPool, size: int) -> int | None:
    held = {b for start, blocks in pool._regions.items() for b in range(start, start + blocks)}
    ages: dict[int, int] = {}
    for first in range(1, pool.count + 2 - size, size):
        blocks = range(first, first + size)
        found = [0 if pool._free[block] else pool.kept.age(block) for block in blocks]
        known = [age for age in found if age is not None]
        if len(known) == size and not held.intersection(blocks):
            ages[first] = max(known)
    return min(ages, key=lambda first: ages[first], default=None)


def test_a_region_is_given_up_before_anybody_waits__c11() -> None:
    tables, _ = make_tables(4)
    assert start(tables, "a", 1, 4 * BLOCK_TOKENS) is not None
    assert start(tables, "b", 3 * BLOCK_TOKENS, 3 * BLOCK_TOKENS) is not None
    assert not tables.grow("a", BLOCK_TOKENS + 1)


def test_full_blocks_serve_rows_that_begin_the_same_with_the_same_adapter__c11_d5() -> None:
    tables, cleared = make_tables(12)
    start(tables, "first", 200, 200)
    tables.keep("first", range(200), adapter="a")
    kept = list(tables.of("first"))
    assert start(tables, "other adapter", 200, 200, "b") == 0
    cleared.clear()
    assert start(tables, "second", 129, 129) == 2 * BLOCK_TOKENS  # while the first still runs
    assert list(tables.of("second"))[:2] == kept[:2]
    assert not set(cleared) & set(kept)
    tables.release("first")
    assert start(tables, "third", 128, 128) == BLOCK_TOKENS  # its last token is computed
    tables.check()


def test_kept_blocks_are_free_memory_the_oldest_first__c11() -> None:
    tables, _ = make_tables(4)
    for adapter in ("a", "b"):
        assert start(tables, adapter, 128, 128, adapter) == 0
        tables.keep(adapter, range(128), adapter=adapter)
        tables.release(adapter)
    assert tables.pool.free == 4
    assert start(tables, "long", 129, 129, "c") == 0  # takes three, the oldest and its row's tail first
    tables.release("long")
    assert start(tables, "again", 129, 129, "b") in (64, 0)
    assert tables.pool.kept.resting == 0


def test_what_may_be_wrong_is_never_reused__c6() -> None:
    tables, _ = make_tables(8)
    start(tables, "bad", 128, 128)
    tables.keep("bad", range(128), adapter="a")
    start(tables, "shares", 129, 129)
    tables.forget("bad")
    tables.release("bad")
    tables.release("shares")
    assert tables.pool.kept.resting == 0
    assert start(tables, "next", 129, 129) == 0
    tables.check()


@pytest.mark.parametrize("broken", range(4))
def test_blocks_that_cannot_be_cleared_are_given_back__c11(broken: int) -> None:
    calls = iter(range(4))

    def clear(_: Iterable[int]) -> None:
        if next(calls) == broken:
            raise MemoryError

    tables = RowBlocks(pool=BlockPool(count=16), clear=clear)
    for row, grows in (("a", False), ("a", True), ("b", False), ("b", True)):
        before = tables.pool.used
        try:
            if not grows:
                start(tables, row, 100, 300)
            elif tables.of(row):
                tables.grow(row, 300)
        except MemoryError:
            assert tables.pool.used == before
        tables.check()


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
    holders = [BlockHolder(number=i, adapters=(name,)) for i, name in enumerate(adapters)]
    found = choose_victim(holders)
    assert (found and found.number) == victim


def test_compositions_count_as_rows_of_each_of_their_adapters__b9() -> None:
    of = [("x",), ("y",), ("a", "1"), ("a", "2"), ("a", "3"), ("z",)]
    found = choose_victim([BlockHolder(number=i, adapters=names) for i, names in enumerate(of)])
    assert found is not None
    assert found.number == 4


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=2, max_size=16))
def test_the_oldest_row_never_gives_way(adapters: list[str | None]) -> None:
    found = choose_victim([BlockHolder(number=i, adapters=(name,)) for i, name in enumerate(adapters)])
    assert found is not None
    assert found.number != 0
