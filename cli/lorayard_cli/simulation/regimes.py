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
    workers=16,
    rows=32,  # four to a slot: engines batch far more rows than they hold adapters (vLLM: 256 and 1 unasked)
    adapters=200,
    host=64,
    load_seconds_host=0.01,
    load_seconds_disk=0.29,
    staging=True,
    adapter_milliseconds=0.2,  # eight adapters cost our packed engine's decode step 4.5 %
)
_ALL_IN_HOST = replace(_WIDE, host=200, load_seconds_disk=0.0)
_FOUR_SLOTS = replace(_WIDE, slots=4)
_SCARCE = replace(_WIDE, slots=16, adapters=2000)

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
    "C_base": Regime(
        summary="16 workers, 200 adapters, 8 slots for 32 rows, loads of 10 and 300 ms", cluster=_WIDE
    ),
    "A_fits": Regime(
        summary="C_base with 8 adapters, which fit everywhere", cluster=replace(_WIDE, adapters=8)
    ),
    "B_seed4": Regime(
        summary="4 workers, 64 adapters, all as popular, 16 slots, swaps that stall 20 ms, tiny jobs",
        cluster=replace(
            _ALL_IN_HOST, workers=4, adapters=64, slots=16, load_seconds_host=0.02, staging=False
        ),
        traffic=Traffic(kind="uniform", sizes="tiny"),
    ),
    "D_skew": Regime(summary="C_base, Zipf 1.4", cluster=_WIDE, traffic=Traffic(skew=1.4)),
    "D_mild": Regime(summary="C_base, Zipf 0.6", cluster=_WIDE, traffic=Traffic(skew=0.6)),
    "E_tail": Regime(
        summary="2,000 adapters, Zipf 0.6, 16 slots", cluster=_SCARCE, traffic=Traffic(skew=0.6)
    ),
    "E_tail1": Regime(summary="2,000 adapters, Zipf 1.0, 16 slots", cluster=_SCARCE),
    "F_uniform": Regime(
        summary="C_base with 128 adapters, all as popular",
        cluster=replace(_WIDE, adapters=128),
        traffic=Traffic(kind="uniform"),
    ),
    "G_chat": Regime(
        summary="C_base with Azure's chat sizes, all adapters in host memory",
        cluster=_ALL_IN_HOST,
        traffic=Traffic(sizes="chat"),
    ),
    "H_codeburst": Regime(
        summary="C_base with Azure's code sizes and bursts",
        cluster=_WIDE,
        traffic=Traffic(kind="code_bursts", sizes="code", seconds=240.0),
    ),
    "K_drift": Regime(
        summary="C_base, other adapters popular every 10 s",
        cluster=_WIDE,
        traffic=Traffic(kind="drift"),
    ),
    "K_drift4": Regime(summary="the same with 4 slots", cluster=_FOUR_SLOTS, traffic=Traffic(kind="drift")),
    "L_aburst": Regime(
        summary="C_base, one adapter takes 30 % for 3 s, every 6 s another one",
        cluster=_WIDE,
        traffic=Traffic(kind="surge"),
    ),
    "L_mmpp": Regime(
        summary="C_base, a quarter of the time 2.5 times the mean rate",
        cluster=_WIDE,
        traffic=Traffic(kind="waves", seconds=120.0),
    ),
    "M_big": Regime(
        summary="C_base with 64 workers, 1,000 adapters",
        cluster=replace(_WIDE, workers=64, adapters=1000),
    ),
    "M_small": Regime(
        summary="C_base with 4 workers, 50 adapters", cluster=replace(_WIDE, workers=4, adapters=50, host=32)
    ),
    "N_stalldisk": Regime(
        summary="C_base, disk reads stop decoding too", cluster=replace(_WIDE, staging=False)
    ),
    "N_overlap": Regime(summary="C_base, no load stops decoding", cluster=replace(_WIDE, stall=0.0)),
    "O_slots4": Regime(summary="C_base with 4 slots", cluster=_FOUR_SLOTS),
    "O_slots32": Regime(
        summary="C_base with 32 slots, nothing on disk", cluster=replace(_ALL_IN_HOST, slots=32)
    ),
    "Q_distinct": Regime(
        summary="C_base, each adapter in a batch costs a step 1 ms",
        cluster=replace(_WIDE, adapter_milliseconds=1.0),
    ),
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
