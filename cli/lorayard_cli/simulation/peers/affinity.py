"""LoRA affinity in its two plain forms: to any holder, and to a holder that is not too full."""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_cli.simulation.peers.bounded_loads import BOUND
from lorayard_dispatcher.planning.values import WaitingJob


class PlainAffinity:
    """A worker that holds the adapter, the least loaded of them; without one, the least loaded of all.

    What "LoRA-aware routing" means in most descriptions: a second replica is never made on purpose.
    """

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Holders as reported, and as given from here."""
        del now
        return board.least(board.holders(job.group) or board.workers)


class BoundedAffinity:
    """The same, but only to a holder with at most 1.25 times the mean: past it the least loaded of all.

    The bound is that of consistent hashing with bounded loads (see BoundedLoads), put on affinity.
    """

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """A job that spills makes its worker a further holder."""
        del now
        light = [name for name in board.holders(job.group) if board.is_light(name, BOUND)]
        return board.least(light or board.workers)
