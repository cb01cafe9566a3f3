"""The three traces that are played, and the mixed one that a step's time is fitted to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.workload import Traffic, make_jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One job to submit."""

    at: float  # seconds from the start
    adapter: int  # from 0
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One trace's traffic."""

    name: str
    traffic: Traffic


def _scene(name: str, kind: str, load: float, seconds: float) -> Scene:
    # One tenant: shares between tenants are another matter.
    traffic = Traffic(kind=kind, load=load, seconds=seconds, sizes="short", tenants=1)
    return Scene(name=name, traffic=traffic)


SCENES: Final = (
    _scene("calm", "zipf", 0.6, 20.0),
    _scene("shift", "drift", 0.75, 24.0),
    _scene("backlog", "batch", 0.85, 18.0),
)
"""Loads are of what the fitted yard could do; `shift` deals popularity out anew every ten seconds."""

_MIXED: Final = (("zipf", 0.2, 4.0), ("zipf", 0.6, 4.0), ("batch", 1.0, 4.0))
"""Kind, load and seconds: lonely rows, some, and full workers, one after the other."""


def trace_of(scene: Scene, cluster: Cluster, seed: int) -> Sequence[Due]:
    """The same values give the same trace."""
    return [
        Due(
            at=job.waiting.enqueued_at,
            adapter=int(job.adapter.rpartition("-")[2]),
            tokens=max(2, round(job.tokens)),
        )
        for job in make_jobs(scene.traffic, cluster, seed)
    ]


def mixed_trace(cluster: Cluster, seed: int) -> Sequence[Due]:
    """What a step's time is fitted to."""
    found: list[Due] = []
    begin = 0.0
    for kind, load, seconds in _MIXED:
        part = trace_of(_scene("mixed", kind, load, seconds), cluster, seed)
        found += [replace(due, at=begin + due.at) for due in part]
        begin += seconds
    return found
