"""What a router is told, and what it answers.

A router holds every job from its arrival until it hands it over. It learns of the workers by reports that
are as old as a bus makes them; routers whose workers pull may look at the workers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.workload import MEAN_TOKENS
from lorayard_dispatcher.planning.values import Prefetch, WaitingJob, WorkerView


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one worker reported of itself; nothing handed over since is in it."""

    view: WorkerView  # in_flight: running and queued; age_seconds: when it was delivered
    running: int  # rows that decode
    queued: int  # jobs that have no row yet
    active: Set[str]  # adapters of jobs that run or are queued: a part of those resident, or more
    holding: Set[str] = frozenset()  # keys of the jobs that it has
    taken: int  # hand-overs to this worker that it had received, since the run began
    at: float  # seconds: when this was true


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """One job, for good, to one worker."""

    job: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a router wants done now. Hand-overs reach each worker in this order."""

    hand_overs: Sequence[HandOver] = ()
    prefetches: Sequence[Prefetch] = ()


class Desk(Protocol):
    """One worker as it is at this moment: for routers whose workers pull."""

    @property
    def worker(self) -> str:
        """Its name."""
        ...

    @property
    def free_rows(self) -> int:
        """Rows less the jobs that it has; never below 0."""
        ...

    @property
    def warm(self) -> Set[str]:
        """Adapters in its slots, on their way there, or needed by a job in its queue."""
        ...

    @property
    def is_missing(self) -> bool:
        """Whether a job in its queue needs an adapter that is in no slot."""
        ...


class Router(Protocol):
    """A routing rule with its state. Times are seconds of the run, which starts at 0.

    `tick` follows every arrival, completion and report within a few milliseconds, several of them at once;
    while jobs wait it comes at least every 20 ms, so that a router can keep timers. Its orders are carried
    out after it returns: a router that reads the desks counts its own hand-overs of the call by itself. A
    router that draws random numbers draws them from a generator of its own, seeded by its setup.
    """

    def arrive(self, job: WaitingJob, now: float) -> None:
        """A job came in; `job.tokens` is what it is expected to take."""
        ...

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        """A job that was handed over has been answered, after so many tokens."""
        ...

    def see(self, sights: Sequence[Sight], now: float) -> None:
        """Reports of all workers, sorted by name, as old as the run's views are."""
        ...

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        """What to do now. `desks` are sorted by name, and are valid during the call only."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A router whose workers answer, as live ones do: at every change they tell what they hold, within
    milliseconds, and they refuse what is past their room. What is in slots and in host memory they tell in
    their reports only. Workers of other routers queue whatever they get."""

    def hear(self, worker: str, holding: Set[str], now: float) -> None:
        """A worker has these jobs now, by key."""
        ...

    def refused(self, job: WaitingJob, worker: str) -> None:
        """A hand-over was past the worker's room: the job waits with the router again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a router is made with."""

    cluster: Cluster
    adapters: Sequence[str] = ()  # that the yard has registered
    seed: int = 0
    expected_tokens: float = MEAN_TOKENS  # that a job takes on average
    dispatchers: int = 1  # that share the traffic, each knowing its own hand-overs only
    options: Mapping[str, object] = field(default_factory=dict[str, object])  # a router's own settings


RouterMaker = Callable[[Setup], Router]
"""A router for one run."""
