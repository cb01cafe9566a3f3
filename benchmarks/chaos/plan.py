"""A run before it begins: drawn from a seed, written down, and played again from what was written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.chaos.blows import Blow, Weapon, arms_for, draw_blows, read_blow
from benchmarks.chaos.orders import Kind, Order, draw_orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run depends on, but for the machine."""

    seed: int
    jobs: int
    seconds: float
    """Over which the jobs are submitted and the blows are dealt."""
    nodes: int = 1
    kinds: tuple[Kind, ...] = ()
    """Of jobs; none: all."""
    mutations: tuple[str, ...] = ()
    operates: bool = True
    """Whether versions are pushed, promoted and rolled back meanwhile."""
    blows: tuple[Blow, ...] = ()

    @property
    def orders(self) -> list[Order]:
        """The same for the same seed, number and kinds."""
        return draw_orders(Random(self.seed), self.jobs, self.kinds)

    @property
    def has_gateway(self) -> bool:
        """Whether somebody asks it, or it is hit."""
        return (
            not self.kinds or Kind.HTTP in self.kinds or any(blow.target == "gateway" for blow in self.blows)
        )

    def only(self, blows: tuple[Blow, ...]) -> Plan:
        """The same jobs under some of the blows."""
        return replace(self, blows=blows)


def draw_plan(plan: Plan, *, disks: bool, clocks: bool, weapons: frozenset[Weapon] | None = None) -> Plan:
    """With blows, of some weapons or of all that there are here."""
    arms = arms_for(plan.nodes, disks=disks, clocks=clocks)
    usable = [arm for arm in arms if weapons is None or arm[0] in weapons]
    blows = draw_blows(Random(f"blows {plan.seed}"), plan.seconds, usable) if usable else []
    return plan.only(tuple(blows))


def write_plan(plan: Plan, path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")


def read_plan(path: Path) -> Plan:
    """One that was written."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept["kinds"] = tuple(Kind(kind) for kind in kept["kinds"])
    kept["mutations"] = tuple(kept["mutations"])
    kept["blows"] = tuple(read_blow(blow) for blow in kept["blows"])
    return Plan(**kept)
