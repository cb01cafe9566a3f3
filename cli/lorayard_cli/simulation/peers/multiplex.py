"""Ray Serve's model multiplexing: the request router of `serve.multiplexed`.

Source: python/ray/serve/_private/request_router (multiplex mixin over power of two choices), Ray 2.x as read
in 2026. A replica takes as many jobs as it has rows here; Ray's default of 5 would leave rows empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lorayard_cli.simulation.peers.board import Board
from lorayard_cli.simulation.peers.early import EarlyBinding
from lorayard_cli.simulation.router import Setup
from lorayard_dispatcher.planning.values import WaitingJob

MATCH_SECONDS: Final = (1.0, 2.0)
"""For a time drawn from here a request insists on replicas that have the model."""
FIRST_PAUSE_SECONDS: Final = 0.025
LONGEST_PAUSE_SECONDS: Final = 0.5
MOST_TASKS: Final = 50
"""Requests that are being routed at once; two per replica if that is less. The others wait behind them."""


@dataclass(slots=True)
class _Attempt:
    """How far a request's routing has come."""

    until: float  # insists on the model so long
    again: float  # not tried before
    tries: int = 0
    asked_fewest: bool = False  # once at first, and once more after its time
    asked_late: bool = False


class Multiplex:
    """Of two random replicas that have the model, else of those with the fewest models: the shorter queue."""

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    def choose(self, job: WaitingJob, board: Board, now: float) -> str | None:
        """None while it pauses, or both that it drew are full."""
        attempt = self._attempts.get(job.key)
        if attempt is None:
            attempt = _Attempt(until=now + board.random.uniform(*MATCH_SECONDS), again=now)
            self._attempts[job.key] = attempt
        if now < attempt.again:
            return None
        among = self._candidates(job, attempt, board, now)
        drawn = board.random.sample(among, min(2, len(among)))
        free = [name for name in drawn if board.own[name] < board.cluster.rows]
        if free:
            del self._attempts[job.key]
            return board.least(free)
        attempt.again = now + min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt.tries)
        attempt.tries = min(attempt.tries + 1, 5)
        return None

    def _candidates(self, job: WaitingJob, attempt: _Attempt, board: Board, now: float) -> Sequence[str]:
        if now < attempt.until:
            holders = board.holders(job.group)
            if any(board.own[name] < board.cluster.rows for name in holders):
                return holders
            if holders or not attempt.asked_fewest:
                attempt.asked_fewest = True
                return _fewest_models(board)
            return board.workers
        if not attempt.asked_late:
            attempt.asked_late = True
            return _fewest_models(board)
        return board.workers


def _fewest_models(board: Board) -> Sequence[str]:
    """The least specialised replicas, not the least loaded."""
    if not board.sights:
        return board.workers
    fewest = min(len(sight.view.resident) for sight in board.sights.values())
    return [name for name, sight in board.sights.items() if len(sight.view.resident) == fewest]


def multiplex(setup: Setup) -> EarlyBinding:
    """A router for one run."""
    return EarlyBinding(setup, Multiplex, at_once=min(2 * setup.cluster.workers, MOST_TASKS))
