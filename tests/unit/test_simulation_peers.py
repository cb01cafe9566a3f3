"""Each emulated rule does what its source says, with its faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.peers.families import PEERS
from lorayard_cli.simulation.router import Router, Setup, Sight
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WaitingJob, WorkerView

CLUSTER = Cluster(workers=3, rows=4, slots=2)
A, B, C = CLUSTER.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A desk."""

    worker: str
    free_rows: int = CLUSTER.rows
    warm: frozenset[str] = frozenset()
    is_missing: bool = False


DESKS = tuple(Worker(worker=name) for name in CLUSTER.names)


def sight(
    worker: str, *, holds: str = "", active: str = "", running: int = 0, queued: int = 0, at: float = 0.0
) -> Sight:
    """A report; adapters are single letters."""
    view = WorkerView(
        worker=worker,
        room=4,
        rows=CLUSTER.rows,
        slots=CLUSTER.slots,
        in_flight=running + queued,
        resident={adapter: Resident() for adapter in holds},
    )
    return Sight(view=view, running=running, queued=queued, active=set(active), taken=0, at=at)


@dataclass(slots=True)
class Run:
    """A router, and what came out of it."""

    router: Router
    jobs: dict[str, WaitingJob] = field(default_factory=dict[str, WaitingJob])
    given: dict[str, str] = field(default_factory=dict[str, str])

    def submit(
        self, groups: str | Sequence[str], now: float = 0.0, desks: Sequence[Worker] = DESKS
    ) -> list[str]:
        """Arrivals in this order, then a tick: who got something, in the order of hand-over."""
        for group in groups:
            key = f"job-{len(self.jobs):04}"
            self.jobs[key] = WaitingJob(key=key, group=group, tenant="t", priority=1, enqueued_at=now)
            self.router.arrive(self.jobs[key], now)
        return self.tick(now, desks)

    def tick(self, now: float, desks: Sequence[Worker] = DESKS) -> list[str]:
        """Hand-overs of one tick, checked for jobs that are given twice."""
        orders = self.router.tick(now, desks).hand_overs
        for order in orders:
            assert order.job not in self.given
            self.given[order.job] = order.worker
        return [order.worker for order in orders]

    def end(self, key: str, now: float) -> None:
        """A job is answered."""
        self.router.done(self.jobs[key], self.given[key], 100.0, now)


def start(name: str, *sights: Sight, seed: int = 0, dispatchers: int = 1) -> Run:
    """A run of a rule, with a report of every worker where some are given."""
    run = Run(PEERS[name](Setup(cluster=CLUSTER, seed=seed, dispatchers=dispatchers)))
    if sights:
        known = {one.view.worker: one for one in sights}
        run.router.see([known.get(worker) or sight(worker) for worker in CLUSTER.names], 0.0)
    return run


def whole_run(name: str, seed: int, dispatchers: int) -> dict[str, str]:
    """90 jobs of 5 adapters and the base model in 30 steps; those of earlier steps end four a step."""
    run = start(name, sight(A, holds="ab"), seed=seed, dispatchers=dispatchers)
    open_jobs: list[str] = []
    for step in range(200):
        now = 0.1 * step
        busy = Counter(run.given[key] for key in open_jobs)
        desks = [Worker(worker=w, free_rows=max(0, CLUSTER.rows - busy[w])) for w in CLUSTER.names]
        before = len(run.given)
        run.submit(["abcde"[step % 5], BASE_GROUP, "a"] if step < 30 else [], now, desks)
        open_jobs += list(run.given)[before:]
        for key in open_jobs[:4]:
            run.end(key, now)
        open_jobs = open_jobs[4:]
    return run.given


@pytest.mark.parametrize("dispatchers", [1, 2])
@pytest.mark.parametrize("name", PEERS)
def test_every_rule_gives_every_job_once_to_a_worker_there_is_and_so_again(
    name: str, dispatchers: int
) -> None:
    given = whole_run(name, seed=3, dispatchers=dispatchers)
    assert len(given) == 90
    assert set(given.values()) == set(CLUSTER.names)
    assert given == whole_run(name, seed=3, dispatchers=dispatchers)


@pytest.mark.parametrize("name", ["random", "power_of_two", "least_request", "ray", "pull"])
def test_another_seed_draws_otherwise(name: str) -> None:
    assert whole_run(name, seed=3, dispatchers=1) != whole_run(name, seed=4, dispatchers=1)


def test_round_robin_takes_turns_whatever_is_held() -> None:
    assert start("round_robin", sight(A, holds="a")).submit("aaaaa") == [A, B, C, A, B]


def test_least_request_counts_its_own_jobs_alone() -> None:
    run = start("least_request", sight(A, queued=9))
    assert sorted(run.submit("aaa")) == [A, B, C]
    run.end("job-0001", 1.0)
    assert run.submit("b") == [run.given["job-0001"]]


def test_of_two_drawn_the_fuller_gets_nothing() -> None:
    run = start("power_of_two")
    for _ in range(30):
        run.submit("a")
        counts = Counter(run.given.values())
        assert max(counts.values()) - min(counts[name] for name in CLUSTER.names) <= 2


def test_bounded_hashing_has_one_home_and_spills_past_a_quarter_more_than_the_mean() -> None:
    homes = {start("bounded_loads", seed=seed).submit("x")[0] for seed in range(5)}
    assert len(homes) == 1
    counts = Counter(start("bounded_loads").submit("x" * 60))
    assert counts.most_common(1)[0][0] in homes
    assert sorted(counts.values()) == [9, 25, 26]  # with 25 of 59 one more is let in: 1.25 * 60 / 3


def test_plain_affinity_piles_everything_on_the_holder() -> None:
    assert set(start("affinity", sight(B, holds="a")).submit("a" * 20)) == {B}


def test_plain_affinity_knows_where_it_sent_an_adapter_before_any_report() -> None:
    assert len(set(start("affinity").submit("aaaa"))) == 1


def test_bounded_affinity_leaves_a_holder_that_is_too_full() -> None:
    counts = Counter(start("bounded_affinity", sight(B, holds="a")).submit("a" * 20))
    assert counts[B] >= max(counts.values())
    assert len(counts) == 3


@pytest.mark.parametrize(
    ("sights", "chosen"),
    [
        ((sight(A, active="a"), sight(B, active="b"), sight(C)), {A}),
        (
            (sight(A, active="bc"), sight(B, active="bc"), sight(C, active="b")),
            {C},
        ),  # an adapter less than slots
        ((sight(A, active="a", queued=3), sight(B), sight(C)), {B, C}),  # 1.0 + 0 against 0.8 + 1
        ((sight(A, active="a", queued=1), sight(B, queued=9), sight(C, queued=9)), {A}),
        ((sight(A, holds="a", active="bc"), sight(B, active="bc"), sight(C, active="bc")), {A, B, C}),
    ],
)
def test_the_gateway_adds_its_two_scores(sights: Sequence[Sight], chosen: set[str]) -> None:
    assert {start("gateway", *sights, seed=seed).submit("a")[0] for seed in range(30)} == chosen


def test_the_gateway_sends_a_burst_between_two_reports_to_one_worker() -> None:
    assert set(start("gateway", sight(B, active="a"), sight(A, queued=1)).submit("a" * 50)) == {B}


def test_aibrix_gives_every_adapter_one_home_for_good() -> None:
    run = start("aibrix")
    assert run.submit("abcd") == [A, B, C, A]
    assert set(run.submit("d" * 50)) == {A}


def test_ray_asks_holders_first_and_replicas_with_the_fewest_models_when_they_are_full() -> None:
    run = start("ray", sight(A, holds="a"), sight(B, holds="b"))
    assert run.submit("a" * 4) == [A] * 4
    assert run.submit("a", 0.1) == [C]


def test_ray_pauses_when_all_that_it_asked_are_full() -> None:
    run = start("ray", sight(A, holds="a"), sight(B, holds="b"))
    run.submit("a" * 8)
    assert len(run.given) == 6  # two requests per replica are routed at once
    run.tick(0.02)
    assert Counter(run.given.values()) == {A: 4, C: 4}
    assert run.submit("a", 0.1) == []
    run.end("job-0000", 0.11)
    assert run.tick(0.12) == []  # 25 ms after the first try
    assert run.tick(0.13) == [A]


def test_dynamo_sizes_an_adapters_set_by_its_share_at_a_tick_and_stays_in_it() -> None:
    run = start("dynamo")
    assert len(set(run.submit("a" * 30, 0.0))) == 1
    run.submit("a" * 30, 3.1)
    assert set(run.given.values()) == set(CLUSTER.names)
    assert len(set(run.submit("b" * 30, 3.2))) == 1  # has no set until the next tick, however full its pin
    assert len(set(run.submit("b" * 30, 6.2))) > 1


def test_pull_gives_the_oldest_jobs_to_free_rows_and_no_more() -> None:
    run = start("pull")
    desks = [Worker(worker=A, free_rows=2), Worker(worker=B, free_rows=1), Worker(worker=C, free_rows=0)]
    assert sorted(run.submit("abcde", desks=desks)) == [A, A, B]
    assert list(run.given) == ["job-0000", "job-0001", "job-0002"]


def test_pull_with_affinity_takes_warm_jobs_before_older_ones() -> None:
    run = start("pull_aff")
    desks = [Worker(worker=A, free_rows=2, warm=frozenset("c"))]
    run.submit("abcc", desks=desks)
    assert list(run.given) == ["job-0002", "job-0003"]


def test_pull_with_affinity_has_one_miss_at_a_time() -> None:
    run = start("pull_aff")
    assert run.submit("abac", desks=[Worker(worker=A)]) == [A, A]
    assert list(run.given) == ["job-0000", "job-0002"]
    assert run.tick(0.1, [Worker(worker=A, free_rows=2, warm=frozenset("a"), is_missing=True)]) == []
    assert run.tick(0.2, [Worker(worker=A, free_rows=2, warm=frozenset("a"))]) == [A]
    assert list(run.given)[-1] == "job-0001"
