"""How many columns a byte budget buys, and whether what must stay leaves room for the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.layout import RANK_PAGE, GroupLayout, padded_rank
from lorayard_workers.memory.slots import Room

USUAL_RANK = 16
"""What a slot is sized for unless a budget is set: most published adapters have rank 8 or 16."""


def column_bytes(layouts: Sequence[GroupLayout], itemsize: int) -> int:
    """Device memory of one column in all groups: a row of A per member, and a row of each B."""
    return itemsize * sum(
        len(layout.members) * layout.in_features + sum(layout.out_features) for layout in layouts
    )


def column_count(*, slot_bytes: int | None, slots: int, max_rank: int, column_bytes: int) -> int:
    """Columns for all slots together, in whole pages.

    Without a budget: room for one adapter of `max_rank` beside `slots - 1` of `USUAL_RANK`, so that a large
    one does not drive out all others.
    Raises CapacityError if the budget cannot hold one adapter of `max_rank`.
    """
    if slot_bytes is None:
        return padded_rank(max_rank) + (slots - 1) * USUAL_RANK
    columns = slot_bytes // (column_bytes * RANK_PAGE) * RANK_PAGE
    if columns < padded_rank(max_rank):
        raise CapacityError(
            f"one adapter of max_rank {max_rank} (bytes)",
            needed=padded_rank(max_rank) * column_bytes,
            limit=slot_bytes,
            setting="slot_bytes",
        )
    return columns


def check_pins(ranks: Mapping[str, int], *, total: Room, max_rank: int) -> None:
    """Pinned adapters (digest -> rank) leave room for any other. Raises CapacityError with the numbers."""
    pinned, one = Room.of(ranks.values()), Room.of([max_rank])
    if pinned.slots + one.slots > total.slots:
        raise CapacityError(
            f"{pinned.slots} pinned adapters and one other",
            needed=pinned.slots + one.slots,
            limit=total.slots,
            setting="slots",
        )
    if pinned.columns + one.columns > total.columns:
        raise CapacityError(
            f"{pinned.slots} pinned adapters with {pinned.columns} columns and one of max_rank {max_rank}",
            needed=pinned.columns + one.columns,
            limit=total.columns,
            setting="slot_bytes (columns)",
        )
