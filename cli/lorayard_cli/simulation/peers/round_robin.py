"""Round robin: the default of most load balancers (nginx, Kubernetes' IPVS, NATS queue groups nearly so)."""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import WaitingJob


class RoundRobin:
    """Workers in turn, whatever they hold and have."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """The next one."""
        del job, now
        self._next += 1
        return board.workers[(self._next - 1) % len(board.workers)]
