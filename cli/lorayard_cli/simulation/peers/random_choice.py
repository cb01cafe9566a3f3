"""Uniform random choice: a NATS queue group, AIBrix's `random` (commit e3e10f9e, gateway/algorithms)."""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import WaitingJob


class RandomChoice:
    """Any worker."""

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Drawn from the run's seed."""
        del job, now
        return board.random.choice(board.workers)
