"""The dispatcher's planner as a router: one planner, or several that share the adapters by hash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from dataclasses import fields, replace

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadSettingError
from lorayard_cli.simulation.overlay import Overlay
from lorayard_cli.simulation.router import Desk, HandOver, Orders, Setup, Sight
from lorayard_cli.simulation.workload import MEAN_TOKENS
from lorayard_dispatcher.planning.blind import Sight as Eyesight
from lorayard_dispatcher.planning.blind import plan_blind
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import BASE_GROUP, Plan, Queue, WaitingJob
from lorayard_shared.rendezvous import weight

PLAN_EVERY_SECONDS = 0.1
"""At least, while jobs wait: some become overdue, and some waits long, with nothing else happening."""


def usual_policy(cluster: Cluster, expected_tokens: float = MEAN_TOKENS) -> Policy:
    """The defaults, with the yard's measured times."""
    full = cluster.step_seconds(cluster.rows, min(cluster.slots, cluster.rows, cluster.adapters))
    return Policy(
        load_seconds_host=cluster.load_seconds_host,
        load_seconds_disk=cluster.load_seconds_disk,
        stall=cluster.stall,
        service_seconds=expected_tokens * full,
    )


class PlannerRouter:
    """`lorayard_dispatcher.planning.planner`, run as the dispatcher runs it.

    The setup's options are fields of Policy that differ from the usual. Raises BadSettingError for others.
    """

    def __init__(self, setup: Setup) -> None:
        known = {field.name for field in fields(Policy)}
        for name in setup.options:
            if name not in known:
                raise BadSettingError(name, f"is not a part of the policy; {', '.join(sorted(known))} are")
        usual = usual_policy(setup.cluster, setup.expected_tokens)
        policy = replace(usual, **dict(setup.options))  # type: ignore[arg-type]  # as given
        self._names = [f"dispatcher-{at}" for at in range(setup.dispatchers)]
        adapters: list[list[str]] = [[] for _ in self._names]
        for name in setup.adapters:
            adapters[self._at(name)].append(name)
        self._shards = [_Shard(setup.cluster, policy, own) for own in adapters]

    def arrive(self, job: WaitingJob, now: float) -> None:
        """Give it to the dispatcher that has its adapter."""
        self._of(job).arrive(job, now)

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        """Its row is free."""
        del now
        self._of(job).done(job, worker, tokens)

    def see(self, sights: Sequence[Sight], now: float) -> None:
        """Every dispatcher hears every worker."""
        del now
        for shard in self._shards:
            shard.see(sights)

    def hear(self, worker: str, holding: Set[str], now: float) -> None:
        """Every dispatcher hears what a worker has to do."""
        for shard in self._shards:
            shard.hear(worker, holding, now)

    def refused(self, job: WaitingJob, worker: str) -> None:
        """It is planned again by whoever has its adapter."""
        self._of(job).refused(job, worker)

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        """The plans of those for whom something has changed."""
        del desks
        plans = [shard.plan(now) for shard in self._shards if shard.is_due(now)]
        return Orders(
            hand_overs=[
                HandOver(job=given.job, worker=given.worker) for made in plans for given in made.decisions
            ],
            prefetches=[prefetch for made in plans for prefetch in made.prefetches],
        )

    def _of(self, job: WaitingJob) -> _Shard:
        return self._shards[self._at(job.key if job.group == BASE_GROUP else job.group)]

    def _at(self, key: str) -> int:
        """Which dispatcher's."""
        return max(range(len(self._names)), key=lambda at: weight(key, self._names[at]))


class _Shard:
    """One dispatcher."""

    def __init__(self, cluster: Cluster, policy: Policy, adapters: Iterable[str]) -> None:
        self._policy = policy
        self._names = cluster.names
        self._planner = Planner(policy)
        self._planner.expect(adapters)
        self._overlay = Overlay(cluster, policy.stale_seconds)
        self._waiting: dict[str, WaitingJob] = {}
        self._changed = set(cluster.names)
        self._stale: frozenset[str] = frozenset()
        self._sight = Eyesight()
        self._is_eventful = False
        self._planned_at = -math.inf

    def arrive(self, job: WaitingJob, now: float) -> None:
        self._waiting[job.key] = job
        self._planner.put(job, now)
        self._is_eventful = True

    def done(self, job: WaitingJob, worker: str, tokens: float) -> None:
        self._overlay.done(worker, job)
        self._planner.charge(job.tenant, tokens - job.tokens)
        self._changed.add(worker)

    def see(self, sights: Sequence[Sight]) -> None:
        self._changed.update(sight.view.worker for sight in sights if self._overlay.see(sight))

    def hear(self, worker: str, holding: Set[str], now: float) -> None:
        if self._overlay.hear(worker, holding, now):
            self._changed.add(worker)

    def refused(self, job: WaitingJob, worker: str) -> None:
        self._overlay.take_back(worker, job)
        self._waiting[job.key] = job
        self._planner.put(job)
        self._planner.charge(job.tenant, -job.tokens)
        self._is_eventful = True

    def is_due(self, now: float) -> bool:
        """Whether there is anything to plan with, and anything new or enough time gone by."""
        if not self._waiting:
            return False
        return self._is_eventful or bool(self._changed) or now - self._planned_at >= PLAN_EVERY_SECONDS

    def plan(self, now: float) -> Plan:
        self._look(now)
        made = self._plan_blind(now) if self._sight.blind else self._plan(now)
        for decision in made.decisions:
            self._overlay.give(decision.worker, self._waiting.pop(decision.job))
            self._changed.add(decision.worker)
        self._planned_at = now
        self._is_eventful = False
        return made

    def _look(self, now: float) -> None:
        stale = self._overlay.stale(now)
        self._changed |= stale ^ self._stale
        self._stale = stale
        self._sight = self._sight.look(stale=len(stale), views=len(self._names), now=now)

    def _plan(self, now: float) -> Plan:
        for worker in sorted(self._changed):
            self._planner.see(self._overlay.view(worker, now))
        self._changed.clear()
        return self._planner.plan(now)

    def _plan_blind(self, now: float) -> Plan:
        queues: dict[Queue, list[WaitingJob]] = {}
        for job in sorted(self._waiting.values(), key=lambda job: job.order):
            queues.setdefault((job.group, job.priority), []).append(job)
        made = plan_blind(queues, [self._overlay.view(name, now) for name in self._names], self._policy)
        for decision in made.decisions:
            self._planner.take(decision.job)
        return made
