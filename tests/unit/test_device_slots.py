"""The books of the device slots, driven at random (C2, C3, B11)."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lorayard_workers.errors import CapacityError, InvariantError
from lorayard_workers.memory.budget import check_pins, column_bytes, column_count
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.slots import DeviceSlots, Room


class SlotBooks(RuleBasedStateMachine):
    """Rows start and end in any order; `check` holds after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = DeviceSlots(count=4, max_rank=40, columns=64, pinned=frozenset({"p"}))
        self.rows: dict[int, str] = {}
        self.columns: dict[int, tuple[int, ...]] = {}
        self.now = 0.0

    @rule(digest=st.sampled_from("abcdefgp"), rank=st.integers(1, 40))
    def start(self, digest: str, rank: int) -> None:
        """A row starts if its adapter has a slot or can get one."""
        self.now += 1
        in_use = set(self.rows.values())
        if self.slots.resident(digest) is None:
            room = self.slots.has_room(Room.of([rank]))
            placed = self.slots.place(digest, rank, self.now)
            assert (placed is not None) == room
            if placed is None:
                return
            assert rank <= len(placed) < rank + 8
        row = len(self.columns)
        self.columns[row] = self.slots.lease(digest, row, self.now)
        self.rows[row] = digest
        assert in_use <= set(self.slots.rows_by_digest())  # nobody in use was evicted

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Any running row ends; until then its columns were its own."""
        row = data.draw(st.sampled_from(sorted(self.rows)))
        digest = self.rows.pop(row)
        assert self.slots.resident(digest) == self.columns[row]
        self.slots.release(digest, row)

    @precondition(lambda self: any(not rows for rows in self.slots.rows_by_digest().values()))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """An idle adapter is unloaded."""
        idle = [digest for digest, rows in self.slots.rows_by_digest().items() if not rows]
        self.slots.drop(data.draw(st.sampled_from(sorted(idle))))

    @invariant()
    def books_agree(self) -> None:
        """What every user of the books may rely on."""
        self.slots.check()
        assert (self.slots.free + Room(columns=self.slots.columns_used)).columns == 64
        leases = {digest: used for digest, used in self.slots.rows_by_digest().items() if used}
        wanted: dict[str, int] = {}
        for digest in self.rows.values():
            wanted[digest] = wanted.get(digest, 0) + 1
        assert leases == wanted


TestSlotBooks = SlotBooks.TestCase


def test_a_lease_that_outlives_its_row_is_noticed() -> None:
    slots = DeviceSlots(count=1, max_rank=8)
    slots.place("a", 8, 0.0)
    slots.lease("a", "row", 0.0)
    slots.check()
    with pytest.raises(InvariantError, match="leases outlive"):
        slots.check_idle()
    with pytest.raises(InvariantError, match="while 1 rows use it"):
        slots.drop("a")


def test_a_fragmented_store_still_takes_the_largest_rank__b11() -> None:
    slots = DeviceSlots(count=3, max_rank=16, columns=24)
    for moment, (digest, rank) in enumerate({"a": 8, "b": 8, "c": 8}.items()):
        slots.place(digest, rank, float(moment))
    slots.lease("b", "row", 3.0)
    columns = slots.place("d", 16, 9.0)  # evicts a and c, which lie on either side of b
    assert columns is not None
    assert [*columns] == [*range(8), *range(16, 24)]
    assert slots.evictions == 2
    slots.check()


def test_small_ranks_fit_beside_each_other_where_one_large_one_would__b11() -> None:
    slots = DeviceSlots(count=8, max_rank=64, columns=64)
    assert all(slots.place(str(i), 8, float(i)) for i in range(8))
    assert slots.evictions == 0


def full_pool_ratio(slots: int, columns: int, *, skew: float) -> float:
    """Reserved columns over those that residents have, over a random mix of 48 adapters."""
    random = Random(48)
    ranks = {str(i): random.choice((8, 16, 64)) for i in range(48)}
    shares = [(i + 1) ** -skew for i in range(48)]
    books = DeviceSlots(count=slots, max_rank=64, columns=columns)
    ratios: list[float] = []
    for request in range(1500):
        digest = random.choices(list(ranks), shares)[0]
        if books.resident(digest) is None:
            assert books.place(digest, ranks[digest], request / 20)
        books.lease(digest, request, request / 20)
        books.release(digest, request)
        ratios.append(columns / books.columns_used)
    return fmean(ratios[300:])


@pytest.mark.parametrize(("slots", "columns", "most"), [(8, 176, 1.2), (16, 256, 1.11), (64, 512, 1.06)])
@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_a_full_pool_of_mixed_ranks_holds_little_air__b11(
    slots: int, columns: int, most: float, skew: float
) -> None:
    """Ranks 8, 16 and 64 are whole pages, so columns are as good as bytes."""
    assert full_pool_ratio(slots, columns, skew=skew) <= most


def test_a_budget_buys_whole_pages_and_at_least_the_largest_rank__c2() -> None:
    layouts = [GroupLayout(members=("q", "k"), in_features=10, out_features=(10, 5))]
    one = column_bytes(layouts, itemsize=2)
    assert one == 2 * (10 + 10 + 10 + 5)

    def columns(slot_bytes: int | None, slots: int = 8, max_rank: int = 64) -> int:
        return column_count(slot_bytes=slot_bytes, slots=slots, max_rank=max_rank, column_bytes=one)

    assert columns(None) == 64 + 7 * 16
    assert columns(None, slots=1) == 64
    assert columns(100 * one) == 96
    with pytest.raises(CapacityError, match=f"needs {64 * one}, but slot_bytes is {63 * one}"):
        columns(63 * one)


def test_pins_that_leave_no_room_are_refused_with_the_numbers__c3() -> None:
    total = Room(slots=8, columns=128)
    check_pins({"a": 16, "b": 48}, total=total, max_rank=64)
    with pytest.raises(CapacityError, match=r"2 pinned adapters with 72 columns .* needs 136, but .* is 128"):
        check_pins({"a": 17, "b": 48}, total=total, max_rank=64)
    with pytest.raises(CapacityError, match="needs 9, but slots is 8"):
        check_pins(dict.fromkeys("abcdefgh", 1), total=total, max_rank=8)
