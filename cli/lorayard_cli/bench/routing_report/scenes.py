"""What is run: yards, traffic, and the routers that meet it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from lorayard_cli.simulation.peers.families import PEERS
from lorayard_cli.simulation.regimes import regime
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One trial, and who meets it beside our planner."""

    key: str
    trial: Trial
    others: tuple[str, ...] = ()


def _trial(yard: str, kind: str, load: float) -> Trial:
    return Trial(cluster=regime(yard).cluster, traffic=Traffic(kind=kind, load=load))


def _scene(key: str, trial: Trial, others: Iterable[str] = ()) -> Scene:
    return Scene(key=key, trial=trial, others=tuple(others))


_BLIND: Final = ("round_robin", "least_request", "pull_aff")
_PULL: Final = ("pull_aff",)
_HASH: Final = ("bounded_loads",)
_CALM: Final = _trial("A-staged", "zipf", 0.85)

SCENES: Final = (
    _scene("batch_b_blocking", _trial("B-blocking", "batch", 0.85), _BLIND),
    _scene("batch_b_staged", _trial("B-staged", "batch", 0.85), _BLIND),
    _scene("overload_a_blocking", _trial("A-blocking", "zipf", 1.3), _PULL),
    _scene("overload_a_staged", _trial("A-staged", "zipf", 1.3), _PULL),
    _scene("batch_c_blocking", _trial("C-blocking", "batch", 0.85), _PULL),
    _scene("batch_c_staged", _trial("C-staged", "batch", 0.85), _PULL),
    _scene("calm", _CALM, PEERS),
    _scene("calm_blocking", _trial("A-blocking", "zipf", 0.85)),
    _scene("cold_blocking", _trial("cold-blocking", "cold", 1.1)),
    _scene("cold_staged", _trial("cold-staged", "cold", 1.1)),
    _scene("flood", _trial("A-staged", "flood", 1.3), PEERS),
    _scene("shift", _trial("A-staged", "shift", 0.85)),
    _scene("hot", _trial("A-staged", "hot", 0.85)),
    _scene("four_dispatchers", replace(_CALM, dispatchers=4, view_age_seconds=0.5)),
    _scene("frozen", replace(_CALM, frozen_seconds=(20.0, 22.0)), _HASH),
    _scene("old_views", replace(_CALM, view_age_seconds=2.0), _HASH),
)
"""Load 1.0 is every row busy and no loads; arrivals last 60 s, then the yard runs empty."""

CAPACITY_OTHERS: Final = ("round_robin", "affinity", "bounded_affinity")
CAPACITY_YARDS: Final = ("C_base", "K_drift", "O_slots4", "K_drift4")
"""Zipf's law, and the same with other adapters popular every 10 s; with eight slots and with four."""


def capacity_trial(yard: str, seed: int) -> Trial:
    """What the highest load is looked for with; the second half of the arrivals is judged."""
    found = regime(yard)
    return Trial(cluster=found.cluster, traffic=found.traffic, seed=seed)
