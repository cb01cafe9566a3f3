"""How soon a yard was well again after each kind of blow, beside what it must be; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.chaos.blows import ALL_BUS, DISPATCHERS, LEADER, WORKERS, Blow, Weapon

from lorayard_cli.bench.figures import percentile

LEASE_SECONDS: Final = 3.0
"""Of the yard that is hit."""
MUSTS: Final[Mapping[str, float]] = {
    "worker kill": LEASE_SECONDS + 1.0,
    "dispatcher kill": 3.0,
    "bus restart": 2.0,
    "leader kill": 6.0,
}
"""Seconds. A worker's: until each job that it ran is run again. A dispatcher's and a leader's: from the kill
until a job that is asked then is answered. A server's: from when it takes connections again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One."""

    what: str
    seconds: float


def kind_of(blow: Blow) -> str | None:
    """What a blow's recovery is called; None: none is measured."""
    if blow.weapon is not Weapon.KILL:
        return None
    if blow.target in WORKERS:
        return "worker kill"
    if blow.target in DISPATCHERS:
        return "dispatcher kill"
    names = {LEADER: "leader kill", ALL_BUS: "all nodes restart", "bus": "bus restart"}
    return names.get(blow.target, "node kill" if blow.target.startswith("bus-") else None)


def counts_from_return(what: str) -> bool:
    """Whether the time counts from when it is back, and not from the blow."""
    return what in ("bus restart", "all nodes restart")


def recovery_table(recoveries: Sequence[Recovery]) -> dict[str, dict[str, Any]]:
    """By kind: how many, median, 99th percentile, the worst, and whether that is what must be."""
    table: dict[str, dict[str, Any]] = {}
    for what in sorted({each.what for each in recoveries}):
        seconds = [each.seconds for each in recoveries if each.what == what]
        must = MUSTS.get(what)
        p99 = percentile(seconds, 0.99)
        table[what] = {
            "count": len(seconds),
            "p50_seconds": round(percentile(seconds, 0.5), 2),
            "p99_seconds": round(p99, 2),
            "must_seconds": must,
            "kept": must is None or p99 <= must,
        }
    return table
