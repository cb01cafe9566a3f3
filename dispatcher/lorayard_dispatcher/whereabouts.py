"""Which worker accepted a job last: when it comes again, that worker let its lease run out.

In memory, so a restarted dispatcher knows nothing of what was accepted before; it plans such a job anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from lorayard_shared.value import value

REMEMBERED_JOBS = 100_000


@value
class Whereabout:
    """One acceptance."""

    worker: str
    epoch: int
    again: bool = False
    """It was given a new lease for a job that it still held."""


class Whereabouts:
    """Acceptances by job key; the longest unseen are forgotten first."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Whereabout] = OrderedDict()

    def note(self, keys: Iterable[str], worker: str, epoch: int) -> None:
        """The worker has accepted these jobs."""
        for key in keys:
            before = self._found.pop(key, None)
            again = before is not None and (before.worker, before.epoch) == (worker, epoch)
            self._found[key] = Whereabout(worker=worker, epoch=epoch, again=again)
        while len(self._found) > REMEMBERED_JOBS:
            self._found.popitem(last=False)

    def forget(self, key: str) -> None:
        """Nobody has it."""
        self._found.pop(key, None)

    def get(self, key: str) -> Whereabout | None:
        """Who accepted it last."""
        return self._found.get(key)
