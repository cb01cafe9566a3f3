"""Named yards with their traffic: each is a question that was asked of every routing rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.errors import BadSettingError
from lorayard_cli.simulation.workload import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A yard and what usually comes in there."""

    summary: str
    cluster: Cluster
    traffic: Traffic = field(default_factory=Traffic)


_A = Cluster()
_B = replace(_A, slots=4, host=16, load_seconds_host=0.05, load_seconds_disk=0.45)
_WIDE = Cluster(
    workers=16, adapters=200, host=64, load_seconds_host=0.01, load_seconds_disk=0.29, staging=True
)

REGIMES: Mapping[str, Regime] = {
    "A": Regime(summary="64 adapters, 8 slots, loads of 30 and 300 ms", cluster=_A),
    "B": Regime(summary="64 adapters, 4 slots, loads of 50 and 500 ms", cluster=_B),
    "C": Regime(
        summary="256 adapters, 8 slots, loads of 5 and 40 ms",
        cluster=replace(_A, adapters=256, load_seconds_host=0.005, load_seconds_disk=0.035),
    ),
    "cold": Regime(
        summary="2 slots, 4 adapters at 110 % load, 16 others with 1 % of the jobs",
        cluster=replace(_A, slots=2),
        traffic=Traffic(kind="cold", load=1.1),
    ),
    "C_base": Regime(summary="16 workers, 200 adapters, 8 slots, loads of 10 and 300 ms", cluster=_WIDE),
    "F_uniform": Regime(
        summary="C_base with 128 adapters, all as popular",
        cluster=replace(_WIDE, adapters=128),
        traffic=Traffic(kind="uniform"),
    ),
    "O_slots4": Regime(summary="C_base with 4 slots for 32 rows", cluster=replace(_WIDE, slots=4, rows=32)),
    "K_drift": Regime(
        summary="C_base, other adapters popular every 10 s",
        cluster=_WIDE,
        traffic=Traffic(kind="drift"),
    ),
    "M_big": Regime(summary="64 workers, 1,000 adapters", cluster=replace(_WIDE, workers=64, adapters=1000)),
}
"""By name."""


def regime(name: str) -> Regime:
    """A regime by name; with a suffix, what a load costs there is changed.

    `A-blocking` stops decoding for the whole load, `A-staged` for the copy into the slot only, `A-overlap`
    not at all. Raises BadSettingError for a name that is not there.
    """
    base, _, loads = name.partition("-")
    if base not in REGIMES or loads not in _LOADS:
        known = ", ".join(REGIMES)
        raise BadSettingError(
            "regime", f"there is no {name!r}; choose one of {known}, with {_SUFFIXES} or without"
        )
    found = REGIMES[base]
    change = _LOADS[loads]
    if change is None:
        return found
    stall, staging = change
    return replace(found, cluster=replace(found.cluster, stall=stall, staging=staging))


_LOADS = {"": None, "blocking": (1.0, False), "staged": (1.0, True), "overlap": (0.0, True)}
_SUFFIXES = ", ".join(f"-{name}" for name in _LOADS if name)
