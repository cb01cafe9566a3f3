"""Which of several workers a group is drawn to most; answers are kept, for most decisions ask."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_dispatcher.planning.desk import Desk
from lorayard_shared.rendezvous import weight

MOST_KEPT = 1 << 17
"""Pairs of group and worker, 20 MB; then all are forgotten, and asked again."""


class Pulls:
    """Rendezvous weights by group and worker. A cache of pairs takes twice as long: it makes a key of each,
    and moves it in a list."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, int]] = {}
        self._kept = 0

    def strongest(self, group: str, desks: Sequence[Desk]) -> Desk:
        """The one of them, at least one, that is the group's home; the first of equal ones."""
        found = desks[0]
        if len(desks) == 1:
            return found
        known = self._of.get(group)
        if known is None:
            known = self._of[group] = {}
        most = -1
        for desk in desks:
            pull = known.get(desk.name)
            if pull is None:
                pull = known[desk.name] = weight(group, desk.name)
                self._kept += 1
            if pull > most:
                most, found = pull, desk
        if self._kept > MOST_KEPT:
            self._of.clear()
            self._kept = 0
        return found
