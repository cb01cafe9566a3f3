"""Whether who waits for news still gets them: decisions on moments that are given, in monotonic seconds.

A connection that stands says nothing of a pull that the server has lost, or of a watch whose consumer is
gone. Both are found within `FOUND_SECONDS`.
"""

from __future__ import annotations

FOUND_SECONDS = 2.0
"""At most, until one that is deaf says so. What follows is made to come to less."""

HEARTBEAT_SECONDS = 0.5
"""Between two words of the server about a pull that it has."""

DEAF_SECONDS = 3 * HEARTBEAT_SECONDS
"""Without one: the pull is not at the server, or its consumer is gone."""

CHECK_SECONDS = 1.25
"""Quiet for so long a watch asks after its bucket. Sooner than nats-py makes its consumer anew (10 s), which
would skip what a new bucket held by then."""

BEHIND_SECONDS = 0.25
"""What the bucket holds and a watch has not heard may be on its way for so long; then the watch is blind."""

UNSURE_SECONDS = 0.7
"""For the bus to say what a bucket holds, once it was asked."""


class PullHearing:
    """Of one who pulls messages."""

    def __init__(self) -> None:
        self._asks = False
        self._served = 0.0

    def asks(self, now: float, *, room: bool) -> None:
        """It asks for messages, or has no room for any."""
        if not self._asks:
            self._served = now
        self._asks = room

    def served(self, now: float) -> None:
        """Something says that the server has its pull."""
        self._served = now

    def stops(self) -> None:
        """It asks no more."""
        self._asks = False

    def deaf(self, now: float) -> bool:
        """Whether it asks for messages, and nothing says that the server has its pull."""
        return self._asks and now - self._served > DEAF_SECONDS


class WatchHearing:
    """Of one who watches a bucket."""

    def __init__(self, quiet_seconds: float = CHECK_SECONDS) -> None:
        self.revision = 0
        """Of the newest change that it knows of."""
        self._quiet_seconds = quiet_seconds
        self._suspects = False
        """Whether the bucket held more at the last look than was heard."""
        self._missed = False
        """Whether the bucket has changed, and it has not heard of it: it lists the bucket anew."""
        self._unsure_since: float | None = None
        """Since when it waits for what the bucket holds, or whether it is there."""

    @property
    def patience_seconds(self) -> float:
        """To wait for a change before the bucket is asked after."""
        return BEHIND_SECONDS if self._suspects else self._quiet_seconds

    def begins(self) -> None:
        """A listing comes; a bucket that was made anew counts from 1."""
        self.revision, self._suspects = 0, False

    def unsure(self, now: float) -> None:
        """It asks the bus, or waits for a listing."""
        if self._unsure_since is None:
            self._unsure_since = now

    def sure(self) -> None:
        """The bus has said something."""
        self._unsure_since = None

    def hears(self, revision: int) -> None:
        """A change has come."""
        self.revision, self._suspects = max(self.revision, revision), False

    def listed(self, until: int) -> None:
        """All is known up to this revision: of what is there no more nobody tells, and it counts as heard."""
        self.revision, self._missed = max(self.revision, until), False

    def missed(self, newest: int) -> bool:
        """The bucket's newest revision is this one, as the bus says (0: it is empty); whether a change was
        missed. What was not heard at one look may be on its way; at the next it is missed."""
        self.sure()
        behind = newest > self.revision
        self._missed, self._suspects = behind and self._suspects, behind
        return self._missed

    def blind(self, now: float) -> bool:
        """Whether it has missed something, or nobody tells what there is."""
        since = self._unsure_since
        return self._missed or (since is not None and now - since > UNSURE_SECONDS)
