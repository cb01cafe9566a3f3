"""Consistent hashing with bounded loads.

Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", SODA 2018; the bound and the
way past a full ring are KubeAI's (commit f442a2cd, internal/loadbalancer/balance_chwbl.go).
"""

from __future__ import annotations

from typing import Final

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_shared.rendezvous import weight

BOUND: Final = 1.25
"""KubeAI's default: a worker may have a quarter more than the mean."""


class BoundedLoads:
    """In the order of an adapter's hash the first worker that is not too full; needs no report at all.

    Rendezvous order stands for KubeAI's ring of 256 points per worker: both scatter the adapters evenly.
    """

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """With all too full: the first."""
        del now
        order = sorted(board.workers, key=lambda name: weight(job.group, name), reverse=True)
        return next((name for name in order if board.is_light(name, BOUND)), order[0])
