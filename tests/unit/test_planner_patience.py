"""What holds over many plans: nobody is kept waiting for ever, nor served much more than another."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Decision, Phase, Resident, Source, WaitingJob, WorkerView

NORMAL = 2
POLICY = Policy(wait_bound_seconds=(4.0, 4.0, 4.0, 4.0))
PARTIAL = replace(POLICY, worth_of={**dict.fromkeys("ab", 4.0), **dict.fromkeys("xy", 0.25)})
"""Of an operator who prefers what is hot anyway."""
STEP_SECONDS = 0.05
LONGEST_SECONDS = 1.0
"""No row runs longer."""


@dataclass
class Worker:
    """Runs what it is given; a load takes as long as the policy believes."""

    name: str
    slots: int
    rows: int
    running: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """When each row ends, and its adapter."""
    resident: dict[str, float] = field(default_factory=dict[str, float])
    """Adapter -> since when it is there."""
    host: set[str] = field(default_factory=set[str])
    fetching: dict[str, float] = field(default_factory=dict[str, float])
    """Adapter -> when it will be in host memory."""

    def look(self, now: float) -> WorkerView:
        self.running = [row for row in self.running if row[0] > now]
        self.host |= {adapter for adapter, at in self.fetching.items() if at <= now}
        self.fetching = {adapter: at for adapter, at in self.fetching.items() if at > now}
        used = [adapter for _, adapter in self.running]
        return WorkerView(
            worker=self.name,
            room=self.rows - len(self.running),
            rows=self.rows,
            in_flight=len(self.running),
            slots=self.slots,
            resident={
                adapter: Resident(jobs=used.count(adapter), loaded_at=at)
                for adapter, at in self.resident.items()
            },
            host=frozenset(self.host),
            fetching=frozenset(self.fetching),
        )

    def run(self, given_here: Decision, seconds: float, now: float) -> float:
        """When its row starts."""
        if given_here.load:
            if given_here.evicts is not None:
                assert given_here.evicts not in {adapter for _, adapter in self.running}, "it is in use"
                del self.resident[given_here.evicts]
            disk = POLICY.load_seconds_disk if given_here.source is Source.DISK else 0.0
            self.resident[given_here.group] = now + disk + POLICY.load_seconds_host
            self.host.add(given_here.group)
            assert len(self.resident) <= self.slots
        starts = max(now, self.resident[given_here.group])
        self.running.append((starts + seconds, given_here.group))
        assert len(self.running) <= self.rows
        return starts


class Yard:
    """Workers and what waits, step by step."""

    def __init__(self, *, workers: int, slots: int, rows: int, seed: int, policy: Policy = POLICY) -> None:
        self.planner = Planner(policy)
        self.workers = {f"w{number}": Worker(f"w{number}", slots, rows) for number in range(workers)}
        self.chance = random.Random(seed)
        self.now = 1000.0
        self.waiting: dict[str, WaitingJob] = {}
        self.waits: dict[str, float] = {}
        """The longest of each adapter, those that still wait included."""
        self.gaps: dict[str, float] = {}
        """The longest time of each adapter in which no row of it starts."""
        self._started: dict[str, float] = {}
        self.most_late = 0
        """Adapters overdue at once."""
        self._number = 0

    def arrive(self, group: str) -> None:
        self._number += 1
        job = WaitingJob(
            key=f"{self._number:06d}", group=group, tenant="t", priority=NORMAL, enqueued_at=self.now
        )
        self._started.setdefault(group, self.now)
        self.waiting[job.key] = job
        self.planner.put(job, self.now)

    def step(self) -> None:
        self.now += STEP_SECONDS
        for worker in self.workers.values():
            self.planner.see(worker.look(self.now))
        made = self.planner.plan(self.now)
        for order in made.prefetches:
            at = self.now + POLICY.load_seconds_disk
            self.workers[order.worker].fetching.setdefault(order.adapter, at)
        for decision in made.decisions:
            job = self.waiting.pop(decision.job)
            seconds = self.chance.uniform(0.2, LONGEST_SECONDS)
            starts = self.workers[decision.worker].run(decision, seconds, self.now)
            self._waited(job.group, starts - job.enqueued_at)
            self._started[job.group] = max(starts, self._started[job.group])
        for job in self.waiting.values():
            self._waited(job.group, self.now - job.enqueued_at)
        for group, at in self._started.items():
            self.gaps[group] = max(self.gaps.get(group, 0.0), self.now - at)
        late = {job.group for job in self.waiting.values() if POLICY.bound(job) <= self.now}
        self.most_late = max(self.most_late, len(late))

    def bound_seconds(self) -> float:
        """How long a job waits at most: its bound, a look and a fetch; for every adapter that is overdue with
        it a drained slot, and what the budget for loads makes it wait."""
        late, drains = max(1, self.most_late), max(1, len(self.workers) // 4)
        host = POLICY.load_seconds_host
        slots = math.ceil(late / drains) * (LONGEST_SECONDS + host)
        budget = late * host / (POLICY.overdue_share * len(self.workers))
        return 4.0 + STEP_SECONDS + POLICY.load_seconds_disk + slots + budget

    def _waited(self, group: str, seconds: float) -> None:
        self.waits[group] = max(self.waits.get(group, 0.0), seconds)


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([POLICY, PARTIAL]))
def test_hot_adapters_above_capacity_keep_no_cold_one_out_past_the_bound__b9(
    seed: int, policy: Policy
) -> None:
    yard = Yard(workers=2, slots=2, rows=4, seed=seed, policy=policy)
    hot = dict.fromkeys("abcd", 1.1 * 8 / 0.6 / 4)
    cold = dict.fromkeys("xyz", 0.1)
    for _ in range(int(40 / STEP_SECONDS)):
        for adapter, rate in {**hot, **cold}.items():
            if yard.chance.random() < rate * STEP_SECONDS:
                yard.arrive(adapter)
        yard.step()
    assert max(yard.waits.get(adapter, 0.0) for adapter in cold) <= yard.bound_seconds()


@settings(max_examples=6)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(0, 10_000))
def test_one_adapter_more_than_slots_and_all_go_on__b9(slots: int, workers: int, seed: int) -> None:
    yard = Yard(workers=workers, slots=slots, rows=4, seed=seed)
    adapters = [f"a{number}" for number in range(workers * slots + 1)]
    for _ in range(int(30 / STEP_SECONDS)):
        waiting = [job.group for job in yard.waiting.values()]
        for adapter in adapters:
            for _ in range(waiting.count(adapter), 6):
                yard.arrive(adapter)
        yard.step()
    assert set(yard.gaps) == set(adapters)
    assert max(yard.gaps.values()) <= yard.bound_seconds()


PLANS = 12_500
"""Each; 100,000 in all."""


class Shares:
    """A worker whose rows and adapters change at random, and tenants that always have work."""

    def __init__(self, seed: int, weights: Mapping[str, float], quantum: float) -> None:
        self.chance = random.Random(seed)
        self.policy = Policy(quantum_tokens=quantum, tenant_weights=weights)
        self.planner = Planner(self.policy)
        self.waiting: dict[str, WaitingJob] = {}
        self.served = dict.fromkeys(weights, 0.0)
        self.past_share = 0
        self._number = 0

    def fill(self, now: float) -> None:
        """No plan can take all that a tenant has."""
        tenants = [job.tenant for job in self.waiting.values()]
        for tenant in self.served:
            for _ in range(tenants.count(tenant), 5):
                self._number += 1
                job = WaitingJob(
                    key=f"{self._number}",
                    group=self.chance.choice(["", "a", "b", "c"]),
                    tenant=tenant,
                    priority=self.chance.choice([1, NORMAL]),
                    enqueued_at=now,
                    tokens=self.chance.choice([20.0, 100.0, 500.0]),
                )
                self.waiting[job.key] = job
                self.planner.put(job)

    def plan(self, now: float, held: list[str]) -> None:
        resident = {adapter: Resident(jobs=1) for adapter in held}
        room = self.chance.randrange(5)
        self.planner.see(
            WorkerView(worker="w", rows=6, room=room, in_flight=6 - room, slots=2, resident=resident)
        )
        for decision in self.planner.plan(now).decisions:
            job = self.waiting.pop(decision.job)
            cost = job.tokens / self.policy.weight(job.tenant)
            self.served[job.tenant] += cost
            if decision.phase is Phase.CONSERVE:
                self.past_share += 1
            else:
                ahead = self.served[job.tenant] - min(self.served.values())
                assert ahead <= self.policy.quantum_tokens + cost


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("quantum", [0.0, 1500.0])
@pytest.mark.parametrize("weights", [{"t": 1.0, "u": 1.0}, {"t": 0.5, "u": 3.0, "v": 1.0}])
def test_no_tenant_is_served_more_than_a_quantum_and_a_job_ahead_of_another__b9(
    seed: int, quantum: float, weights: dict[str, float], tally: Callable[[str, int], None]
) -> None:
    """But for rows that nobody within his share can use, which are counted."""
    shares = Shares(seed, weights, quantum)
    held = ["a", "b"]
    for number in range(PLANS):
        now = 1000.0 + number * 0.02
        if number % 20 == 0:
            held = sorted(shares.chance.sample(["a", "b", "c"], 2))
        shares.fill(now)
        shares.plan(now, held)
    assert dict(shares.planner.served) == pytest.approx(shares.served)
    tally("fair plans", PLANS)
    tally("rows given past a share", shares.past_share)
