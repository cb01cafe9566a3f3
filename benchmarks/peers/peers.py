"""Who is measured beside the yard, and what each of them promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SIDES = Path(__file__).parent / "sides"
JOBS = 4000
"""The fastest take one second, so that the first and the last jobs weigh little."""
SLOW_JOBS = 800
"""For those that do less than 1,500 a second, or a run would take ten minutes."""


class Server(StrEnum):
    """What a library queues on."""

    REDIS = "redis"
    NATS = "nats"

    @property
    def durability(self) -> str:
        """What a killed server has lost."""
        if self is Server.NATS:
            return "NATS, on file: every message is written before its publisher hears of it"
        return "Redis, appendonly off as Debian has it: a killed server loses all since its last snapshot"


class Runs(StrEnum):
    """How often a job runs when its worker dies under it."""

    AT_MOST_ONCE = "at most once: acked before it runs"
    AT_LEAST_ONCE = "at least once: acked when it has run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One library in one form."""

    name: str
    script: str
    """Below `sides/`: its worker, and its producer."""
    server: Server
    results: str | None
    """How long a job's result is kept and where; None where the library keeps none unless told to. What runs
    twice stores its result twice, the later one over or behind the first."""
    runs: Runs = Runs.AT_LEAST_ONCE
    jobs: int = JOBS
    results_on: Server | None = None
    """Where it is told to keep them; of the kind of `server` it is the same one."""
    older_redis: bool = False
    """Its library refuses the redis client that the others need, so it has an environment of its own."""

    @property
    def keeps_results(self) -> bool:
        """As the yard does for each job."""
        return self.results is not None


PEERS = (
    Peer(
        name="Celery, Redis",
        script="celery_side",
        server=Server.REDIS,
        results=None,
        runs=Runs.AT_MOST_ONCE,
        jobs=SLOW_JOBS,
    ),
    Peer(name="Dramatiq, Redis", script="dramatiq_side", server=Server.REDIS, results=None),
    Peer(
        name="Dramatiq, Redis, results",
        script="dramatiq_side",
        jobs=SLOW_JOBS,
        server=Server.REDIS,
        results="10 minutes, in Redis",
        results_on=Server.REDIS,
    ),
    Peer(
        name="arq, Redis",
        script="arq_side",
        server=Server.REDIS,
        results="1 hour, in Redis",
        jobs=SLOW_JOBS,
        older_redis=True,
    ),
    Peer(
        name="SAQ, Redis",
        script="saq_side",
        server=Server.REDIS,
        results="10 minutes, in Redis",
        jobs=SLOW_JOBS,
        older_redis=True,
    ),
    Peer(
        name="Taskiq, Redis stream",
        script="taskiq_redis_side",
        server=Server.REDIS,
        results=None,
        jobs=SLOW_JOBS,
    ),
    Peer(
        name="Taskiq, Redis stream, results",
        script="taskiq_redis_side",
        jobs=SLOW_JOBS,
        server=Server.REDIS,
        results="1 hour, in Redis",
        results_on=Server.REDIS,
    ),
    Peer(name="Taskiq, NATS", script="taskiq_nats_side", server=Server.NATS, results=None),
    Peer(
        name="Taskiq, NATS, results in Redis",
        script="taskiq_nats_side",
        jobs=SLOW_JOBS,
        server=Server.NATS,
        results="1 hour, in Redis",
        results_on=Server.REDIS,
    ),
    Peer(name="FastStream, NATS", script="faststream_side", server=Server.NATS, results=None),
    Peer(
        name="FastStream, NATS, results",
        script="faststream_side",
        server=Server.NATS,
        results="in a second stream, on file",
        results_on=Server.NATS,
    ),
    Peer(name="FastStream, Redis stream", script="faststream_redis_side", server=Server.REDIS, results=None),
)
