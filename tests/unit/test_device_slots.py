"""The books of the device slots, driven at random (C3)."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lorayard_workers.errors import InvariantError
from lorayard_workers.memory.slots import DeviceSlots


class SlotBooks(RuleBasedStateMachine):
    """Rows start and end in any order; `check` holds after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = DeviceSlots(count=3, max_rank=20, pinned=frozenset({"p"}))
        self.rows: dict[int, str] = {}
        self.columns: dict[int, tuple[int, ...]] = {}
        self.now = 0.0

    @rule(digest=st.sampled_from("abcdefp"), rank=st.integers(1, 20))
    def start(self, digest: str, rank: int) -> None:
        """A row starts if its adapter has a slot or can get one."""
        self.now += 1
        in_use = set(self.rows.values())
        room = self.slots.has_room()
        if self.slots.resident(digest) is None:
            placed = self.slots.place(digest, rank, self.now)
            assert (placed is not None) == room
            if placed is None:
                return
            assert len(placed) >= rank
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

    @invariant()
    def books_agree(self) -> None:
        """What every user of the books may rely on."""
        self.slots.check()
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


def test_a_fragmented_store_still_takes_the_largest_rank() -> None:
    slots = DeviceSlots(count=3, max_rank=16)
    for moment, (digest, rank) in enumerate({"a": 8, "b": 16, "c": 8}.items()):
        slots.place(digest, rank, float(moment))
    columns = slots.place("d", 16, 9.0)  # evicts a: its 8 columns and the unused ones at the end
    assert columns is not None
    assert len(columns) == 16
    slots.check()
