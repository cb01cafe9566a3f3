"""Whether the fleet is seen; said once when that changes."""

from __future__ import annotations

import structlog

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.planning.blind import Sight
from lorayard_shared.logs import Event


class Lookout:
    """Keeps the sight of one dispatcher."""

    def __init__(self, fleet: Fleet, dispatcher: str) -> None:
        self._fleet = fleet
        self._sight = Sight()
        self._log = structlog.get_logger().bind(dispatcher=dispatcher)

    @property
    def blind(self) -> bool:
        """Whether plans are to be made without sight."""
        return self._sight.blind

    def look(self, now: float) -> None:
        """To be called a few times a second; `now` is monotonic seconds."""
        stale, views = self._fleet.stale(now)
        before, self._sight = self._sight, self._sight.look(stale=stale, views=views, now=now)
        if self.blind and not before.blind:
            self._log.warning(Event.FLEET_OUT_OF_SIGHT, stale=stale, workers=views)
        elif before.blind and not self.blind:
            self._log.info(Event.FLEET_HEARD_AGAIN, stale=stale, workers=views)
