"""Which adapters leave a worker for several that come together."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_dispatcher.planning.desk import Desk

Leaver = tuple[float, float, str]
"""What may leave: seconds lost with it, when it was last used (unix seconds), and its digest."""


def leave_for(
    desk: Desk, leavers: Sequence[Leaver], slots: int, columns: int, first: str | None
) -> list[Leaver] | None:
    """The first of `leavers` that free so many slots and columns, and none of them in vain; `first` leaves in
    any case. None: all of them are too little."""
    chosen = [leaver for leaver in leavers if leaver[2] == first]
    freed = sum(desk.columns(digest) for _, _, digest in chosen)
    for leaver in leavers:
        if len(chosen) >= slots and freed >= columns:
            break
        if leaver[2] != first:
            chosen.append(leaver)
            freed += desk.columns(leaver[2])
    if len(chosen) < slots or freed < columns:
        return None
    for leaver in sorted(chosen, reverse=True):  # a large one at the end makes small ones needless
        own = desk.columns(leaver[2])
        if leaver[2] != first and len(chosen) > slots and freed - own >= columns:
            chosen.remove(leaver)
            freed -= own
    return chosen
