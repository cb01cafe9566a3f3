"""NVIDIA Dynamo's LoRA replica sets: sized by load, placed by rendezvous hash, never left by a request.

Source: ai-dynamo/dynamo lib/llm/src/lora (controller, load estimator, allocator, filter), as read in 2026.
Its first rung, "loaded replicas only", is left out: with it a hot adapter's further replicas stay cold until
the first is full, and it did far worse. Its reply to a request of which all replicas are busy, 503, too.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from lorayard_cli.simulation.peers.board import Board
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob
from lorayard_shared.rendezvous import weight

TICK_SECONDS: Final = 3.0
WINDOW_SECONDS: Final = 90.0
"""30 ticks."""
SMOOTHING: Final = 0.3
"""Weight of the newest window in the moving average of an adapter's load."""


class ReplicaSets:
    """Every tick an adapter gets slots by its share of the load; its jobs stay within that set."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, str]] = deque()
        self._load: dict[str, float] = {}
        self._sets: dict[str, list[str]] = {}
        self._next_tick = TICK_SECONDS

    def choose(self, job: WaitingJob, board: Board, now: float) -> str:
        """Of its set the least loaded one that has a row free, else the least loaded."""
        if job.group == BASE_GROUP:
            return board.least(board.workers)
        self._arrivals.append((now, job.group))
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._place(board, now)
        replicas = self._sets.get(job.group) or _by_hash(job.group, board)[:1]
        return board.least([name for name in replicas if not _is_busy(name, board)] or replicas)

    def _place(self, board: Board, now: float) -> None:
        while self._arrivals[0][0] < now - WINDOW_SECONDS:
            self._arrivals.popleft()
        seen = Counter(group for _, group in self._arrivals)
        for group in sorted({*seen, *self._load}):
            before = self._load.get(group, seen[group])
            self._load[group] = (1 - SMOOTHING) * before + SMOOTHING * seen[group]
        slots = board.cluster.slots * board.cluster.workers
        loads = sorted(self._load.items(), key=lambda item: (-item[1], item[0]))
        active = {group: load for group, load in loads[:slots] if round(load) > 0}
        self._sets = _placed(_replicas(active, slots, board.cluster.workers), board)


def _replicas(loads: Mapping[str, float], slots: int, workers: int) -> dict[str, int]:
    """Slots by share of the load, at least one each; too many are cut by largest remainder."""
    total = sum(loads.values()) or 1.0
    wanted = {group: min(workers, max(1, math.ceil(load / total * slots))) for group, load in loads.items()}
    scale = min(1.0, slots / max(1, sum(wanted.values())))
    cut = {group: max(1, int(count * scale)) for group, count in wanted.items()}
    left = slots - sum(cut.values())
    for group in sorted(cut, key=lambda group: (cut[group] - wanted[group] * scale, group)):
        if left > 0 and cut[group] < wanted[group]:
            cut[group] += 1
            left -= 1
    return cut


def _placed(replicas: Mapping[str, int], board: Board) -> dict[str, list[str]]:
    """In hash order, past workers whose slots are all given; with none left, the first."""
    used: Counter[str] = Counter()
    sets: dict[str, list[str]] = {}
    for group in sorted(replicas):
        order = _by_hash(group, board)
        open_ = [name for name in order if used[name] < board.cluster.slots]
        sets[group] = open_[: replicas[group]] or order[:1]
        used.update(sets[group])
    return sets


def _by_hash(group: str, board: Board) -> list[str]:
    return sorted(board.workers, key=lambda name: weight(group, name), reverse=True)


def _is_busy(name: str, board: Board) -> bool:
    sight = board.sights.get(name)
    return sight is not None and sight.running + sight.queued >= sight.view.rows
