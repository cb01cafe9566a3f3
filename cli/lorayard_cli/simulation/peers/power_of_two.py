"""Power of two choices.

Source: Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 2001; Envoy's
LEAST_REQUEST with its default `choice_count` of 2.
"""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import WaitingJob


class PowerOfTwo:
    """Of two workers drawn at random the one with fewer jobs in flight."""

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Two different ones, where there are two."""
        del job, now
        return board.least(board.random.sample(board.workers, min(2, len(board.workers))))
