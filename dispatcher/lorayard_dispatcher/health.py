"""Whether a dispatcher does its work: progress, not that a process exists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.posts import Posts
from lorayard_dispatcher.seats import Seats
from lorayard_dispatcher.upkeep import Upkeep
from lorayard_shared.bus.watch import BucketWatch

STARTING = "it is still starting"


class DispatcherHealth:
    """Looks at the parts of one dispatcher."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._serving: tuple[Seats, Posts, Upkeep, Iterable[BucketWatch]] | None = None

    def serves(self, seats: Seats, posts: Posts, upkeep: Upkeep, watches: Iterable[BucketWatch]) -> None:
        """From here on these are at work."""
        self._serving = (seats, posts, upkeep, tuple(watches))

    def missing(self) -> tuple[str, ...]:
        """What keeps it from its work; none: nothing."""
        return tuple(self._missing())

    def faults(self) -> tuple[str, ...]:
        """The part of it that nobody else can see: what it asks for, and hears nothing of."""
        return () if self._serving is None else tuple(self._faults(*self._serving))

    def _missing(self) -> Iterator[str]:
        if not self._dispatcher.bus.connected:
            yield "the bus is away"
            return
        if self._serving is None:
            yield STARTING
            return
        if lacking := self._serving[2].missing:
            yield f"not on the server: {', '.join(lacking)}; lorayard doctor --mend"
        yield from self._faults(*self._serving)
        if self._dispatcher.lookout.blind:
            yield "most workers are not heard: jobs go by hash"

    def _faults(
        self, seats: Seats, posts: Posts, _upkeep: Upkeep, watches: Iterable[BucketWatch]
    ) -> Iterator[str]:
        if seats.held and not seats.sure():
            yield "it does not know whether its seat is still its own"
        for name in posts.deaf():
            yield f"it asks {name} for jobs, and the server says nothing"
        for watch in watches:
            if watch.blind:
                yield f"it does not hear what changes in {watch.bucket}"
