"""Pins that a worker is ordered are judged by slots and columns before they are taken (C3, B11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lorayard_schemas.order import AdapterOrder, OrderOutcome, OrderVerb
from lorayard_workers.service.orders import Orders
from lorayard_workers.service.stock import OnDisk
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]
WaitUntil = Callable[..., Awaitable[None]]


async def test_a_pin_that_leaves_no_columns_for_others_is_refused_with_the_numbers__b11_c3(
    start_yard: StartYard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    yard = start_yard(slots=4, max_rank=64)
    wide = {yard.add(make_tiny_adapter(tmp_path / str(i), seed=90 + i, rank=40)): 40 for i in range(2)}
    orders = Orders(yard.engine, stock=OnDisk(wide), max_rank=64, is_draining=lambda: False)

    def pin(digest: str) -> tuple[OrderOutcome, str]:
        (answer,) = orders.follow(OrderVerb.PIN, AdapterOrder(digests=(digest,)))
        return answer.outcome, answer.detail

    first, second = wide
    assert pin(first) == (OrderOutcome.QUEUED, "")
    await wait_until(lambda: any(slot.pinned for slot in yard.engine.residency().slots))
    (slot,) = yard.engine.residency().slots
    assert (slot.columns, yard.engine.residency().columns_total) == (40, 112)
    assert pin(second) == (
        OrderOutcome.NO_ROOM,
        "2 pinned adapters with 80 columns and one of max_rank 64 needs 144, but slot_bytes (columns) is 112",
    )
    assert yard.engine.residency().pinned == {first}
