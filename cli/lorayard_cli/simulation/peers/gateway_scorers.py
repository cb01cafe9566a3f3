"""The Kubernetes Gateway API inference extension: its queue and LoRA affinity scorers.

Source: gateway-api-inference-extension at commit 84436a96 and llm-d-router at ebab6879, scorer/loraaffinity,
scorer/queuedepth, picker/maxscore. Without its scorers for prefixes and KV blocks: no prompt is modelled.
"""

from __future__ import annotations

from lorayard_cli.simulation.peers.board import Board
from lorayard_cli.simulation.router import Sight
from lorayard_dispatcher.planning.values import WaitingJob


class GatewayScorers:
    """The best sum of both scores, equal weights, as reported; its own hand-overs since are not counted."""

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Ties at random, as its picker shuffles."""
        del now
        if not board.sights:
            return board.random.choice(board.workers)
        queued = [sight.queued for sight in board.sights.values()]
        fewest, most = min(queued), max(queued)
        scores = {
            name: _affinity(sight, job.group) + _queue(sight.queued, fewest, most)
            for name, sight in board.sights.items()
        }
        best = max(scores.values())
        return board.random.choice([name for name, score in scores.items() if score == best])


def _affinity(sight: Sight, group: str) -> float:
    """By adapters of requests, not by what is in the slots: that is what vLLM's metric tells it."""
    if group in sight.active:
        return 1.0
    return 0.8 if len(sight.active) < sight.view.slots else 0.0


def _queue(queued: int, fewest: int, most: int) -> float:
    """Between the shortest queue and the longest: one job's difference weighs like a hundred's."""
    return 1.0 if most == fewest else (most - queued) / (most - fewest)
