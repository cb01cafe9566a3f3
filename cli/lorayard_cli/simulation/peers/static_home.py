"""AIBrix's ModelAdapter with `replicas: 1` and its scheduler `least-adapters`.

Source: aibrix at commit e3e10f9e, pkg/controller/modeladapter (any other number of replicas than 1 or "all
pods" is refused there); its gateway then has one pod to choose from.
"""

from __future__ import annotations

from collections import Counter

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob


class StaticHome:
    """Every adapter has one worker for good: the one with the fewest adapters when it first came."""

    def __init__(self) -> None:
        self._home: dict[str, str] = {}

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Its home; the base model has none, and goes to the least loaded."""
        del now
        if job.group == BASE_GROUP:
            return board.least(board.workers)
        if job.group not in self._home:
            homes = Counter(self._home.values())
            self._home[job.group] = min(board.workers, key=lambda name: (homes[name], name))
        return self._home[job.group]
