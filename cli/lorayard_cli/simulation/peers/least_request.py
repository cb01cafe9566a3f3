"""Least request: Envoy's LEAST_REQUEST over all hosts, AIBrix's `least-request` (commit e3e10f9e)."""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import WaitingJob


class LeastRequest:
    """The worker with the fewest jobs in flight from here; adapters don't count."""

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Ties at random."""
        del job, now
        return board.least(board.workers)
