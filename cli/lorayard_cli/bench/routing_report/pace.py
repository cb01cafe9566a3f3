"""How fast the planner itself is: a steady yard in which every job that ends is replaced by another."""

from __future__ import annotations

import gc
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Final

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import percentile, spread
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.values import Plan, Resident, WaitingJob, WorkerView

ROWS: Final = 16
SLOTS: Final = 8
HOST: Final = 32
LOOKAHEAD: Final = 2
TENANTS: Final = 8
LOAD_SECONDS: Final = 0.03
"""Host memory to slot."""
COPY_SECONDS: Final = 0.27
"""Disk to host memory."""
PLAN_SECONDS: Final = 0.005
"""Between two plans: the dispatcher makes no more."""
SETTLE_PLANS: Final = 300
"""Not counted: a second and a half, in which every row has been given anew and what the first plans asked
for has come into host memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the yard is, and how long it is looked at."""

    workers: int
    adapters: int
    waiting: int
    ending: int  # jobs that end between two plans
    plans: int


THOUSAND: Final = Size(workers=8, adapters=64, waiting=1_000, ending=1, plans=1_500)
TEN_THOUSAND: Final = Size(workers=8, adapters=1_000, waiting=10_000, ending=1, plans=1_500)
LARGE: Final = Size(workers=1_000, adapters=10_000, waiting=100_000, ending=100, plans=150)
"""A hundred jobs in each 5 ms are the 20,000 decisions per second that are asked for."""


@dataclass(slots=True)
class _Worker:
    """What one worker has; slots and host memory forget what was used longest ago."""

    name: str
    running: list[str] = field(default_factory=list[str])
    slots: dict[str, float] = field(default_factory=dict[str, float])
    host: dict[str, None] = field(default_factory=dict[str, None])
    fetching: set[str] = field(default_factory=set[str])

    def take(self, group: str, now: float) -> None:
        self.running.append(group)
        self.slots.pop(group, None)
        self.slots[group] = now
        self.copied(group)
        for old in [one for one in self.slots if one not in self.running][: max(0, len(self.slots) - SLOTS)]:
            del self.slots[old]

    def copied(self, group: str) -> None:
        """It is in host memory now."""
        self.fetching.discard(group)
        self.host.pop(group, None)
        self.host[group] = None
        while len(self.host) > HOST:
            del self.host[next(iter(self.host))]

    def view(self) -> WorkerView:
        jobs = Counter(self.running)
        return WorkerView(
            worker=self.name,
            room=max(0, ROWS + LOOKAHEAD - len(self.running)),
            rows=ROWS,
            in_flight=len(self.running),
            slots=SLOTS,
            resident={
                group: Resident(jobs=jobs[group], last_used=used, loaded_at=used)
                for group, used in self.slots.items()
            },
            host=frozenset(self.host),
            fetching=frozenset(self.fetching),
            load_seconds_host=LOAD_SECONDS,
            load_seconds_disk=COPY_SECONDS,
            age_seconds=0.05,
        )


class _SteadyYard:
    """A planner and its workers, moved on by hand. Only what the planner does is timed."""

    def __init__(self, size: Size, seed: int) -> None:
        self._size = size
        self._random = Random(seed)
        self._sums = list(accumulate(1.0 / (rank + 1) for rank in range(size.adapters)))
        self._workers = {
            f"worker-{number:04}": _Worker(f"worker-{number:04}") for number in range(size.workers)
        }
        self._names = list(self._workers)
        self._groups = [f"adapter-{number:05}" for number in range(size.adapters)]
        self._copies: deque[tuple[float, _Worker, str]] = deque()
        """On their way into host memory: when they are there, in order."""
        self._jobs = 0
        self._now = 0.0
        self._planner = Planner()
        for _ in range(size.waiting + size.workers * (ROWS + LOOKAHEAD)):
            self._planner.put(self._job(), self._now)
        for worker in self._workers.values():
            self._planner.see(worker.view())
        self._carry_out(self._planner.plan(self._now))

    def step(self) -> tuple[int, float]:
        """Some jobs end, as many come, one plan is made: its decisions, and CPU seconds."""
        self._now += PLAN_SECONDS
        views = [self._workers[name].view() for name in dict.fromkeys((*self._end_some(), *self._copied()))]
        jobs = [self._job() for _ in range(self._size.ending)]
        started = time.process_time()
        for job in jobs:
            self._planner.put(job, self._now)
        for view in views:
            self._planner.see(view)
        made = self._planner.plan(self._now)
        took = time.process_time() - started
        self._carry_out(made)
        return len(made.decisions), took

    def _end_some(self) -> list[str]:
        touched: dict[str, None] = {}
        for _ in range(self._size.ending):
            worker = self._workers[self._random.choice(self._names)]
            if worker.running:
                worker.running.pop(self._random.randrange(len(worker.running)))
                touched[worker.name] = None
        return list(touched)

    def _copied(self) -> list[str]:
        touched: dict[str, None] = {}
        while self._copies and self._copies[0][0] <= self._now:
            _, worker, group = self._copies.popleft()
            worker.copied(group)
            touched[worker.name] = None
        return list(touched)

    def _job(self) -> WaitingJob:
        self._jobs += 1
        return WaitingJob(
            key=f"job-{self._jobs:08}",
            group=self._random.choices(self._groups, cum_weights=self._sums)[0],
            tenant=f"tenant-{self._random.randrange(TENANTS)}",
            priority=1,
            enqueued_at=self._now,
        )

    def _carry_out(self, made: Plan) -> None:
        for decision in made.decisions:
            self._workers[decision.worker].take(decision.group, self._now)
        for prefetch in made.prefetches:
            worker = self._workers[prefetch.worker]
            worker.fetching.add(prefetch.adapter)
            self._copies.append((self._now + COPY_SECONDS, worker, prefetch.adapter))


def pace_figures(rounds: int, advance: Callable[[str], None]) -> Mapping[str, Figure]:
    """The three figures, each of so many yards with seeds of their own."""
    found = {"plan_1k": plan_time(THOUSAND, rounds)}
    advance("1,000 jobs")
    found["plan_10k"] = plan_time(TEN_THOUSAND, rounds)
    advance("10,000 jobs")
    found["decisions"] = decision_rate(LARGE, rounds)
    advance("100,000 jobs")
    return found


def plan_time(size: Size, rounds: int) -> Figure:
    """Milliseconds of a plan, 99th percentile of each round."""
    p99: list[float] = []
    longest = 0.0
    for seed in range(rounds):
        seconds = [took for _, took in steps(size, seed)]
        p99.append(1000 * percentile(seconds, 0.99))
        longest = max(longest, 1000 * max(seconds))
    note = (
        f"{size.plans:,} plans a round, each after a job has ended and one has come; longest {longest:.1f} ms"
    )
    return Figure(value=spread(p99), note=note)


def decision_rate(size: Size, rounds: int) -> Figure:
    """Decisions per second of the planner's time."""
    rates: list[float] = []
    for seed in range(rounds):
        seen = steps(size, seed)
        rates.append(sum(made for made, _ in seen) / sum(took for _, took in seen))
    note = f"plans of about {size.ending} decisions, {size.plans:,} a round; arrivals and views counted in"
    return Figure(value=spread(rates), note=note)


def steps(size: Size, seed: int) -> list[tuple[int, float]]:
    """Decisions and CPU seconds of every plan, after those that filled the yard."""
    yard = _SteadyYard(size, seed)
    for _ in range(SETTLE_PLANS):
        yard.step()
    gc.collect()
    return [yard.step() for _ in range(size.plans)]
