"""Everything is cancelled at once."""

from __future__ import annotations

import asyncio
from typing import Protocol

from lorayard_schemas.assignment import CancelOutcome

CANCELS = 200
"""One after the other, each asking around for 0.2 s, they would outlast what `cancel` waits for an answer."""


class Yard(Protocol):
    """A yard to start dispatchers in (see conftest)."""

    async def dispatcher(self, name: str = ..., **given: object) -> object: ...

    async def cancel(self, job: str) -> CancelOutcome: ...


async def test_many_cancels_of_jobs_that_nobody_has_wait_side_by_side(yard: Yard) -> None:
    await yard.dispatcher()
    outcomes = await asyncio.gather(*(yard.cancel(f"j{number}") for number in range(CANCELS)))
    # Whoever could not look through the streams in a moment says cancelled, as its result now does.
    assert set(outcomes) <= {CancelOutcome.UNKNOWN, CancelOutcome.CANCELLED}
