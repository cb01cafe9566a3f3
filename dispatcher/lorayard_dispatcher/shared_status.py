"""What a dispatcher tells of itself, made once for all who ask for it within a second.

Pages, `lorayard top`, gateways and exporters look each second, and each look asks each dispatcher. It takes
a walk over all that waits, and some milliseconds of the loop that hands jobs over: so long as one asker
costs, any number does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lorayard_schemas.codec import encode
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.value import value

SHARED_SECONDS = 0.9
"""A page looks each second, and shall see something new each time."""


@value
class _Told:
    at: float
    faults: tuple[str, ...]
    body: bytes


class SharedStatus:
    """Of one dispatcher."""

    def __init__(
        self,
        make: Callable[[], DispatcherStatus],
        faults: Callable[[], tuple[str, ...]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make` is what costs; `faults` is what it is deaf to now, and costs next to nothing."""
        self._make, self._faults, self._clock = make, faults, clock
        self._last: _Told | None = None

    def told(self) -> bytes:
        """As a message, made lately; but what it is deaf to, or no more, is told at once."""
        now, faults, last = self._clock(), self._faults(), self._last
        if last is None or now - last.at >= SHARED_SECONDS or faults != last.faults:
            body = encode(self._make().model_copy(update={"faults": faults}))
            last = self._last = _Told(at=now, faults=faults, body=body)
        return last.body
