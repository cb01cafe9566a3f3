"""What the same jobs would have cost in adapter swaps had they been served in the order they came."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_dispatcher.arrival_order import ArrivalOrder


def swaps_in_arrival_order(adapters: Sequence[str | None], *, workers: int, slots: int) -> int:
    """Loads into a slot when jobs are dealt to the workers in turn, least recently used slot out.

    None is the base model, which needs no slot.
    """
    if workers < 1 or slots < 1:
        raise ValueError(f"at least one worker and one slot are needed, got {workers} and {slots}")
    fleet = [(f"w{number}", slots) for number in range(workers)]
    order = ArrivalOrder()
    for adapter in adapters:
        order.see(adapter or "", fleet)
    return order.loads
