"""The first planner: a worker with room takes the oldest job of an adapter it holds, else the oldest job.

Plus a wait bound: an overdue job goes before warm work, within a load budget; when every slot is in use, one
adapter is drained to make room for it. Late binding does most of the work: a job is bound only when a worker
has room. Ties go by rendezvous hash, so the same input gives the same plan in every process.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Decision,
    Drain,
    Phase,
    Plan,
    Queue,
    Source,
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
    signature, for planners that are fair by tenant; this planner takes turns by age alone and reads neither.
    """
    del served, demand
    board = _Board(waiting, fleet, policy)
    if board.room:
        _overdue(board, now)
        # Lane by lane: warm bulk work must not keep an urgent job of a cold adapter waiting for its bound.
        for priority in sorted({priority for _, priority in waiting}):
            queues = [queue for queue in waiting if queue[1] == priority]
            _serve(board, queues, warm_only=True)
            _serve(board, queues, warm_only=False)
    drains = tuple(
        Drain(worker=name, adapter=drained, for_group=group)
        for name, (drained, group) in sorted(board.drained.items())
    )
    return Plan(decisions=tuple(board.decisions), drains=drains)


@dataclass(slots=True)
class _Desk:
    """One worker while the plan is being made."""

    view: WorkerView
    room: int
    holds: set[str]
    in_use: set[str]
    forced_loads: int = 0


_SOURCES = (Source.DISK, Source.HOST)


class _Board:
    """The plan in the making: what is left of every group, and of every worker's room."""

    def __init__(self, waiting: Waiting, fleet: Sequence[WorkerView], policy: Policy) -> None:
        self.waiting = waiting
        self.policy = policy
        self.next: dict[Queue, int] = dict.fromkeys(waiting, 0)
        self.given: set[str] = set()
        self.fleet = fleet
        self.desks = [
            _Desk(view, view.room, set(view.resident), set(view.in_use)) for view in fleet if view.room > 0
        ]
        self.drained: dict[str, tuple[str, str]] = {}
        """Worker -> the adapter that gets no new rows there, and the group that its slot is for."""
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

    def drain_for(self, group: str) -> None:
        """Stop feeding one adapter on one worker, because this group has waited past its bound for a slot.

        Without it, adapters that always have work would keep every slot for ever. Nothing is remembered from
        plan to plan: both choices are by rendezvous hash, so they stay the same until the slot is free.
        """
        able = [view for view in self.fleet if view.slots > 0 and self._fits(view, group)]
        if not able or any(len(view.in_use) < view.slots or group in view.in_use for view in able):
            return  # a slot is free or its own: only room is missing, or this plan's budget is spent
        view = max(able, key=lambda view: (weight(group, view.worker), view.worker))
        if view.worker not in self.drained:  # one at a time on each worker
            drained = max(view.in_use, key=lambda adapter: (weight(group, adapter), adapter))
            self.drained[view.worker] = (drained, group)

    def give(self, job: WaitingJob, desk: _Desk, phase: Phase) -> None:
        """Bind the job to the worker."""
        source = Source.SLOT if self._is_warm(desk, job.group) else _SOURCES[job.group in desk.view.host]
        desk.room -= 1
        if job.group != BASE_GROUP:
            desk.holds.add(job.group)
            desk.in_use.add(job.group)
        self.given.add(job.key)
        self.decisions.append(
            Decision(job=job.key, group=job.group, worker=desk.view.worker, phase=phase, source=source)
        )

    def _is_warm(self, desk: _Desk, group: str) -> bool:
        if desk.room <= 0 or not self._fits(desk.view, group):
            return False
        if self.drained.get(desk.view.worker, (None,))[0] == group:
            return False
        # A held adapter whose slot is not in use counts only while no more adapters are in use than there are
        # slots: otherwise its slot is as good as given away.
        return (
            group == BASE_GROUP
            or group in desk.in_use
            or (group in desk.holds and len(desk.in_use) < desk.view.slots)
        )

    def _can_load(self, desk: _Desk, group: str) -> bool:
        return desk.room > 0 and self._fits(desk.view, group) and len(desk.in_use) < desk.view.slots

    def _fits(self, view: WorkerView, group: str) -> bool:
        if group in view.lacks or view.dedicated not in (None, group):
            return False
        base = self.policy.base_of.get(group)
        return group == BASE_GROUP or base is None or base == view.base_digest

    def _roomiest(self, group: str, desks: Sequence[_Desk]) -> _Desk | None:
        if not desks:
            return None
        return max(desks, key=lambda desk: (desk.room, weight(group, desk.view.worker), desk.view.worker))


def _overdue(board: _Board, now: float) -> None:
    """Give jobs past their bound first, and free a slot for those that no slot is free for."""
    heads = [
        _urgency(board, head, queue) for queue in board.waiting if (head := board.head(queue)) is not None
    ]
    heapq.heapify(heads)
    while heads and board.room:
        *_, queue = heapq.heappop(heads)
        head = board.head(queue)
        if head is None or board.policy.bound(head) > now:
            continue
        desk = board.holder(head.group)
        if desk is None:
            desk = board.stranger(head.group, forced=True)
            if desk is None:
                board.drain_for(head.group)
                continue
            desk.forced_loads += 1
        board.give(head, desk, Phase.OVERDUE)
        following = board.head(queue)
        if following is not None:
            heapq.heappush(heads, _urgency(board, following, queue))


def _urgency(board: _Board, job: WaitingJob, queue: Queue) -> tuple[int, float, str, Queue]:
    return (job.priority, board.policy.bound(job), job.key, queue)


def _serve(board: _Board, queues: Sequence[Queue], *, warm_only: bool) -> None:
    """Give the oldest heads first, as long as there is room for them."""
    heads = [(head.order, queue) for queue in queues if (head := board.head(queue)) is not None]
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
