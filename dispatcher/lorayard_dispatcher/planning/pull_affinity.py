"""The first planner: a worker with room takes the oldest job of an adapter it holds, else the oldest job.

This is `pull_aff` of anchors-routing §4.10, the reference to beat, plus a wait bound with a load budget. Late
binding does most of the work: a job is bound only when a worker has room. Ties go by rendezvous hash, so the
same input gives the same plan in every process.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Decision,
    Phase,
    Plan,
    Policy,
    Queue,
    Waiting,
    WaitingJob,
    WorkerView,
)
from lorayard_shared.rendezvous import weight


def plan(
    now: float,
    waiting: Waiting,
    fleet: Sequence[WorkerView],
    served: Mapping[str, float],
    demand: Mapping[str, float],
    policy: Policy,
) -> Plan:
    """Decide what to hand over at `now` (unix seconds).

    `served` (virtual tokens per tenant) and `demand` (jobs per second by group) are part of the planner's
    signature (design §5); this planner takes turns by age alone and reads neither.
    """
    del served, demand
    board = _Board(waiting, fleet, policy)
    if board.room:
        _overdue(board, now)
        _serve(board, warm_only=True)
        _serve(board, warm_only=False)
    return Plan(decisions=tuple(board.decisions))


@dataclass(slots=True)
class _Desk:
    """One worker while the plan is being made."""

    view: WorkerView
    room: int
    holds: set[str]
    in_use: set[str]
    forced_loads: int = 0


class _Board:
    """The plan in the making: what is left of every group, and of every worker's room."""

    def __init__(self, waiting: Waiting, fleet: Sequence[WorkerView], policy: Policy) -> None:
        self.waiting = waiting
        self.policy = policy
        self.next: dict[Queue, int] = dict.fromkeys(waiting, 0)
        self.given: set[str] = set()
        self.desks = [
            _Desk(view, view.room, set(view.holds), set(view.in_use)) for view in fleet if view.room > 0
        ]
        self.decisions: list[Decision] = []

    @property
    def room(self) -> int:
        return sum(desk.room for desk in self.desks)

    def head(self, queue: Queue) -> WaitingJob | None:
        """The queue's oldest job that this plan has not given away."""
        jobs = self.waiting[queue]
        at = self.next[queue]
        while at < len(jobs) and jobs[at].key in self.given:
            at += 1
        self.next[queue] = at
        return jobs[at] if at < len(jobs) else None

    def overdue(self, queue: Queue, now: float) -> Iterator[WaitingJob]:
        """The queue's jobs past their bound: they stand in front."""
        return takewhile(lambda job: self.policy.bound(job) <= now, self.waiting[queue])

    def holder(self, group: str) -> _Desk | None:
        """The holder with the most room."""
        return self._roomiest(group, [desk for desk in self.desks if self._is_warm(desk, group)])

    def stranger(self, group: str, *, forced: bool = False) -> _Desk | None:
        """The best worker that would have to load the adapter: host copy first, then room."""
        able = [desk for desk in self.desks if self._can_load(desk, group)]
        if forced:
            able = [desk for desk in able if desk.forced_loads < self.policy.overdue_loads]
        with_copy = [desk for desk in able if group in desk.view.host]
        return self._roomiest(group, with_copy or able)

    def give(self, job: WaitingJob, desk: _Desk, phase: Phase) -> None:
        """Bind the job to the worker."""
        load = not self._is_warm(desk, job.group)
        desk.room -= 1
        if job.group != BASE_GROUP:
            desk.holds.add(job.group)
            desk.in_use.add(job.group)
        self.given.add(job.key)
        self.decisions.append(
            Decision(job=job.key, group=job.group, worker=desk.view.worker, phase=phase, load=load)
        )

    def _is_warm(self, desk: _Desk, group: str) -> bool:
        if desk.room <= 0 or not self._fits(desk, group):
            return False
        # A held adapter whose slot is not in use counts only while no more adapters are in use than there are
        # slots: otherwise its slot is as good as given away.
        return (
            group == BASE_GROUP
            or group in desk.in_use
            or (group in desk.holds and len(desk.in_use) < desk.view.slots)
        )

    def _can_load(self, desk: _Desk, group: str) -> bool:
        return desk.room > 0 and self._fits(desk, group) and len(desk.in_use) < desk.view.slots

    def _fits(self, desk: _Desk, group: str) -> bool:
        if group in desk.view.lacks:
            return False
        base = self.policy.base_of.get(group)
        return group == BASE_GROUP or base is None or base == desk.view.base_digest

    def _roomiest(self, group: str, desks: Sequence[_Desk]) -> _Desk | None:
        if not desks:
            return None
        return max(desks, key=lambda desk: (desk.room, weight(group, desk.view.worker), desk.view.worker))


def _overdue(board: _Board, now: float) -> None:
    late = sorted(
        (job for queue in board.waiting for job in board.overdue(queue, now)),
        key=lambda job: (job.priority, board.policy.bound(job), job.key),
    )
    for job in late:
        if not board.room:
            return
        desk = board.holder(job.group)
        if desk is None:
            desk = board.stranger(job.group, forced=True)
            if desk is None:
                continue
            desk.forced_loads += 1
        board.give(job, desk, Phase.OVERDUE)


def _serve(board: _Board, *, warm_only: bool) -> None:
    """Give the oldest heads first, as long as there is room for them."""
    heads = [(head.order, queue) for queue in board.waiting if (head := board.head(queue)) is not None]
    heapq.heapify(heads)
    while heads and board.room:
        _, queue = heapq.heappop(heads)
        head = board.head(queue)
        if head is None:
            continue
        desk = board.holder(head.group)
        phase = Phase.WARM
        if desk is None and not warm_only:
            desk, phase = board.stranger(head.group), Phase.COLD
        if desk is None:
            continue
        board.give(head, desk, phase)
        following = board.head(queue)
        if following is not None:
            heapq.heappush(heads, (following.order, queue))
