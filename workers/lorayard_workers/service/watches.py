"""Watches as workers keep them: there may be a thousand."""

from __future__ import annotations

import random

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch, Change

DISPATCHERS_FIRST_SECONDS = 10.0
"""To put back 10,000 records into a bucket that was made anew takes a dispatcher a few seconds."""
SPREAD_SECONDS = 20.0
"""Without a dispatcher one worker does it, and hardly any beside it."""


def watch_from_worker(bus: Bus, kind: str, on_change: Change) -> BucketWatch:
    """A watch of a yard's bucket."""
    after = DISPATCHERS_FIRST_SECONDS + random.uniform(0.0, SPREAD_SECONDS)  # no secret
    return BucketWatch(bus, bus.subjects.bucket(kind), on_change, put_back_after_seconds=after)
