"""Seeded traffic: which job comes when, for which adapter and tenant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from lorayard_cli.simulation.arrivals import CODE_BURSTS, WAVES, Times, at_once, modulated, steady
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadSettingError
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.sizes import SIZES
from lorayard_dispatcher.planning.values import WaitingJob

MEAN_TOKENS = SIZES["text"].mean_tokens
"""What a job of the usual text takes on average."""

BURST_JOBS, BURST_GAP_SECONDS = 20, 0.002

SURGE_SECONDS, SURGE_EVERY_SECONDS, SURGE_SHARE = 3.0, 6.0, 0.3
SURGE_STRIDE = 37
"""From one surge's adapter to the next: popular ones and rare ones take turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What comes in. Load 1.0 would keep every row busy if no adapter ever had to be loaded."""

    kind: str = "zipf"  # one of KINDS
    load: float = 0.85
    seconds: float = 60.0  # of arrivals
    skew: float = 1.0  # Zipf exponent of the adapters' popularity
    tenants: int = 8
    sizes: str = "text"  # one of SIZES

    @property
    def mean_tokens(self) -> float:
        """What a job takes on average."""
        return SIZES[self.sizes].mean_tokens


class Popularity:
    """Adapters drawn by Zipf's law, the ranks dealt out anew from time to time."""

    def __init__(self, random: Random, adapters: int, skew: float, every_seconds: float | None) -> None:
        self._random = random
        self._ranked = list(range(adapters))
        self._sums = list(accumulate(1.0 / (rank + 1) ** skew for rank in range(adapters)))
        self._every = every_seconds or math.inf
        self._next = self._every

    def draw(self, now: float) -> int:
        """One adapter."""
        while now >= self._next:
            self._random.shuffle(self._ranked)
            self._next += self._every
        return self._random.choices(self._ranked, cum_weights=self._sums)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a kind of traffic draws from."""

    traffic: Traffic
    cluster: Cluster
    random: Random
    popularity: Popularity
    rate: float  # jobs per second

    def any_tenant(self) -> str:
        """One of the run's tenants."""
        return f"tenant-{self.random.randrange(self.traffic.tenants)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Whose job one arrival is, and for which adapter (from 0)."""

    adapter: int
    tenant: str
    priority: int = 1
    kind: str = ""


def _popular(scene: Scene, now: float) -> Pick:
    return Pick(adapter=scene.popularity.draw(now), tenant=scene.any_tenant())


def _lanes(scene: Scene, now: float) -> Pick:
    """Urgent work, usual work and bulk."""
    priority = scene.random.choices((0, 1, 3), weights=(0.1, 0.6, 0.3))[0]
    adapter = scene.popularity.draw(now)
    return Pick(adapter=adapter, tenant=scene.any_tenant(), priority=priority, kind=f"lane-{priority}")


def _hot(scene: Scene, now: float) -> Pick:
    """One adapter has half of the traffic, the others share the rest evenly."""
    del now
    if scene.cluster.adapters == 1 or scene.random.random() < 0.5:
        return Pick(adapter=0, tenant=scene.any_tenant(), kind="hot")
    adapter = 1 + scene.random.randrange(scene.cluster.adapters - 1)
    return Pick(adapter=adapter, tenant=scene.any_tenant(), kind="rest")


def _cold(scene: Scene, now: float) -> Pick:
    """Four adapters have all traffic but one job in a hundred, which is for one of sixteen others."""
    del now
    if scene.random.random() < 0.01:
        return Pick(adapter=4 + scene.random.randrange(16), tenant="cold", kind="cold")
    return Pick(adapter=scene.random.randrange(4), tenant="hot", kind="hot")


def _flood(scene: Scene, now: float) -> Pick:
    """One tenant sends 70 % of the jobs, to four adapters of its own; seven others have six each."""
    del now
    if scene.random.random() < 0.7:
        return Pick(adapter=scene.random.randrange(4), tenant="flood", kind="flood")
    tenant = scene.random.randrange(7)
    adapter = 4 + 6 * tenant + scene.random.randrange(6)
    return Pick(adapter=adapter, tenant=f"tenant-{tenant}", kind="good")


def _surge(scene: Scene, now: float) -> Pick:
    """Zipf's law, but half of the time one adapter takes 30 %, another one in each surge."""
    number, since = divmod(now, SURGE_EVERY_SECONDS)
    if since < SURGE_SECONDS and scene.random.random() < SURGE_SHARE:
        adapter = SURGE_STRIDE * int(number) % scene.cluster.adapters
        return Pick(adapter=adapter, tenant=scene.any_tenant(), kind="surge")
    return _popular(scene, now)


def _each(times: Times) -> Arrivals:
    """One job at each of these moments."""

    def arrivals(scene: Scene, draw: Draw) -> Iterator[tuple[float, Pick]]:
        for at in times(scene.random, scene.rate, scene.traffic.seconds):
            yield at, draw(scene, at)

    return arrivals


def _bursts(scene: Scene, draw: Draw) -> Iterator[tuple[float, Pick]]:
    """Every arrival is many jobs for one adapter, whatever its popularity."""
    del draw
    rare = replace(scene, rate=scene.rate / BURST_JOBS)
    for at in steady(rare.random, rare.rate, rare.traffic.seconds):
        adapter = scene.random.randrange(scene.cluster.adapters)
        for number in range(BURST_JOBS):
            yield at + BURST_GAP_SECONDS * number, Pick(adapter=adapter, tenant=scene.any_tenant())


Draw = Callable[[Scene, float], Pick]
Arrivals = Callable[[Scene, Draw], Iterator[tuple[float, Pick]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of traffic."""

    draw: Draw = _popular
    arrivals: Arrivals = _each(steady)  # noqa: RUF009  # a function
    is_even: bool = False  # every adapter as popular as the next
    shuffled_every_seconds: float | None = None
    adapters: int = 1  # that it needs at least


KINDS: Mapping[str, Kind] = {
    "zipf": Kind(),
    "uniform": Kind(is_even=True),
    "shift": Kind(shuffled_every_seconds=20.0),
    "drift": Kind(shuffled_every_seconds=10.0),
    "lanes": Kind(draw=_lanes),
    "hot": Kind(draw=_hot),
    "cold": Kind(draw=_cold, adapters=20),
    "flood": Kind(draw=_flood, adapters=46),
    "batch": Kind(arrivals=_each(at_once)),
    "burst": Kind(arrivals=_bursts),
    "surge": Kind(draw=_surge),
    "waves": Kind(arrivals=_each(modulated(*WAVES))),
    "code_bursts": Kind(arrivals=_each(modulated(*CODE_BURSTS))),
}
"""By name."""


def make_jobs(traffic: Traffic, cluster: Cluster, seed: int) -> list[SimulatedJob]:
    """The run's jobs in the order of their arrival; the same values give the same jobs.

    Raises BadSettingError for a kind that is not there, too few adapters for it, or a number that is not
    positive.
    """
    kind = _checked(traffic, cluster)
    random = Random(f"{traffic.kind}/{seed}")
    skew = 0.0 if kind.is_even else traffic.skew
    scene = Scene(
        traffic=traffic,
        cluster=cluster,
        random=random,
        popularity=Popularity(random, cluster.adapters, skew, kind.shuffled_every_seconds),
        rate=cluster.jobs_per_second(traffic.mean_tokens) * traffic.load,
    )
    arrivals = sorted(kind.arrivals(scene, kind.draw), key=lambda arrival: arrival[0])
    sizes, expected = SIZES[traffic.sizes], traffic.mean_tokens
    return [
        _job(number, at, pick, sizes.draw(random), expected) for number, (at, pick) in enumerate(arrivals)
    ]


def _checked(traffic: Traffic, cluster: Cluster) -> Kind:
    kind = KINDS.get(traffic.kind)
    if kind is None:
        raise BadSettingError("kind", f"there is no {traffic.kind!r}; choose one of {', '.join(KINDS)}")
    if traffic.sizes not in SIZES:
        raise BadSettingError("sizes", f"there is no {traffic.sizes!r}; choose one of {', '.join(SIZES)}")
    for name, number in (("load", traffic.load), ("seconds", traffic.seconds), ("tenants", traffic.tenants)):
        if not (number > 0 and math.isfinite(number)):
            raise BadSettingError(name, f"must be a positive number, not {number}")
    if cluster.adapters < kind.adapters:
        raise BadSettingError("adapters", f"{traffic.kind} needs {kind.adapters}, not {cluster.adapters}")
    return kind


def _job(number: int, at: float, pick: Pick, tokens: float, expected: float) -> SimulatedJob:
    waiting = WaitingJob(
        key=f"job-{number:07}",
        group=adapter_name(pick.adapter),
        tenant=pick.tenant,
        priority=pick.priority,
        enqueued_at=at,
        tokens=expected,
    )
    return SimulatedJob(waiting=waiting, tokens=tokens, kind=pick.kind)


def adapter_name(number: int) -> str:
    """The digest of one of a run's adapters."""
    return f"adapter-{number:05}"
