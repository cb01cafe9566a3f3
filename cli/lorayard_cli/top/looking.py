"""Reads the yard again and again, and keeps the last picture when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lorayard_cli.failures import explain
from lorayard_cli.top.amounts import count
from lorayard_cli.top.feed import Feed
from lorayard_cli.top.header import Freshness
from lorayard_cli.top.history import History
from lorayard_cli.top.picture import Picture, Tab
from lorayard_schemas.snapshot import QueueRow

INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds that + and - go through."""


OLDER_SECONDS = 1.0
"""Where several look at a yard, whoever reads it for all of them need not do so more often."""


class Looking:
    """The picture, how old it is, and why it is not newer."""

    def __init__(self, feed: Feed, *, interval_seconds: float, clock: Callable[[], float]) -> None:
        self.feed = feed
        self.interval_seconds = interval_seconds
        self.history = History()
        self.picture: Picture | None = None
        self.paused = False
        self._queue: QueueRow | None = None
        self._clock = clock
        self._heard = clock()
        self._trouble = ""

    @property
    def fresh(self) -> Freshness:
        """How old the picture is."""
        return Freshness(
            at=self.picture.snapshot.at if self.picture is not None else None,
            heard_seconds=max(0.0, self._clock() - self._heard),
            interval_seconds=self.interval_seconds,
            paused=self.paused,
            trouble=self._trouble,
        )

    @property
    def queue(self) -> QueueRow | None:
        """Whose jobs the tab of jobs has; None: all."""
        return self._queue

    def scope(self, tab: Tab) -> str:
        """What a tab's rows are of all that there is; empty: all of it."""
        queue, letters = self._queue, self.picture.letters if self.picture is not None else None
        if tab is Tab.JOBS and queue is not None:
            return f"only {queue.lane}, {queue.tenant}, {queue.adapter or 'no adapter named'} (Esc: all)"
        if tab is not Tab.DEAD or self.picture is None or letters is None:
            return ""
        total = self.picture.snapshot.overview.dead_letters
        return f"the newest of {count(total)}" if total > len(letters) else ""

    def choose(self, queue: QueueRow | None) -> None:
        """List the jobs of a queue from now on, or all."""
        self._queue = queue
        if self.picture is not None:
            self.picture = replace(self.picture, jobs=None)

    async def look(self, tab: Tab) -> None:
        """Read what a tab shows; trouble leaves the picture as it was, and is told."""
        queue, before = self._queue, self.picture
        try:
            snapshot = await self.feed.snapshot(min(OLDER_SECONDS, self.interval_seconds / 2))
            jobs = before.jobs if before is not None else None
            letters = before.letters if before is not None else None
            if tab is Tab.JOBS:
                jobs = await self.feed.jobs(queue)
            elif tab is Tab.DEAD:
                letters = await self.feed.letters()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next look may find it mended
            self._trouble = explain(error).message
            return
        if self._queue is not queue:
            jobs = None  # another one was chosen meanwhile
        self.picture = Picture(snapshot=snapshot, jobs=jobs, letters=letters)
        self.history.add(snapshot)
        self._heard, self._trouble = self._clock(), ""

    def slower(self, steps: int) -> None:
        """Ask less often, or with a negative number more often."""
        nearest = min(INTERVALS, key=lambda each: abs(each - self.interval_seconds))
        place = INTERVALS.index(nearest) + steps
        self.interval_seconds = INTERVALS[max(0, min(place, len(INTERVALS) - 1))]
