"""How often a job's worker died under it: what tells a poison job from one that only waited long.

The server's delivery count cannot: it rises with every restart of a dispatcher that had the job parked. This
count is in memory, so a restarted dispatcher begins anew; the delivery count stays behind it as a fuse.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

REMEMBERED_JOBS = 100_000


class Interruptions:
    """Deaths of workers by job key; the longest unseen are forgotten first."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, int] = OrderedDict()

    def note(self, keys: Iterable[str]) -> None:
        """The worker that held these jobs has died."""
        for key in keys:
            self._times[key] = self._times.pop(key, 0) + 1
        while len(self._times) > REMEMBERED_JOBS:
            self._times.popitem(last=False)

    def times(self, key: str) -> int:
        """How often that happened to this job."""
        return self._times.get(key, 0)
