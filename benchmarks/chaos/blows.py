"""What is hit when, and how: drawn from the seed alone, printed before, and kept to be played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

ALL_DISPATCHERS: Final = "dispatchers"
ALL_BUS: Final = "all-bus"
LEADER: Final = "leader"
"""Of the stream of jobs: which node that is, is asked when it is hit."""
BLOBS: Final = "blobs"
"""The yard's store of adapters."""
TALKING: Final = ("dispatcher", "dispatcher-2", "w1", "w2", "w3", "gateway", "client")
"""Processes that speak to the bus over a wire of their own."""
DISPATCHERS: Final = ("dispatcher", "dispatcher-2")
WORKERS: Final = ("w1", "w2", "w3")


class Weapon(StrEnum):
    """What is done to it."""

    KILL = "kill"
    TERM = "term"
    STOP = "stop"
    """SIGSTOP, and SIGCONT after a while."""
    CUT = "cut"
    """Nothing passes between it and the bus, and no connection ends; what was under way comes later."""
    RESET = "reset"
    """Its connections end, and no new one is made."""
    DELAY = "delay"
    """Each way takes longer, and each time another while."""
    LOSS = "loss"
    """As lost packets look from above: stalls that double, and now and then a connection that ends."""
    SLOW = "slow"
    """It reads a few kB a second: a slow consumer."""
    DISK_FULL = "disk_full"
    CLOCK = "clock"
    """Its clock is off, and is right again."""
    MEMORY = "memory"
    """It gets no more memory than it has."""
    HANG = "hang"
    """Its engine never comes back from a step."""
    ROT = "rot"
    """Bytes of an adapter are others: in the yard's store, or where a worker keeps what it fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One of them."""

    at_seconds: float
    """After the first job was accepted."""
    target: str
    weapon: Weapon
    seconds: float = 0.0
    """How long it lasts, of those that last."""
    amount: float = 0.0
    """Seconds of a delay, or by which a clock is off."""
    alone: bool = False
    """Nothing else is hit meanwhile: how soon the yard is back is measured."""

    @property
    def name(self) -> str:
        """Weapon and target."""
        return f"{self.weapon} {self.target}"

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        amount = f" by {self.amount:+.2f} s" if self.amount else ""
        return f"{self.at_seconds:6.1f} s  {self.name}{lasting}{amount}{'  (alone)' if self.alone else ''}"


def blow_dict(blow: Blow) -> dict[str, Any]:
    """As it is kept."""
    return asdict(blow)


def read_blow(kept: dict[str, Any]) -> Blow:
    """One that was kept."""
    kept["weapon"] = Weapon(kept["weapon"])
    return Blow(**kept)


STORM_GAP_SECONDS: Final = (0.6, 2.2)
"""Between two blows: processes are starting again at every moment of a storm, and still some work is done."""
ALONE_GAP_SECONDS: Final = 9.0
"""A lease of 3 s, what a process needs to start, and time to be well again."""
STORM_SHARE: Final = 0.6
"""Of a run; in the rest each blow is alone, and its recovery is measured."""
LASTS: Final = {
    Weapon.STOP: (0.5, 5.0),
    Weapon.CUT: (0.5, 5.0),
    Weapon.RESET: (0.2, 2.0),
    Weapon.DELAY: (1.0, 4.0),
    Weapon.LOSS: (1.0, 5.0),
    Weapon.SLOW: (1.0, 4.0),
    Weapon.DISK_FULL: (1.0, 4.0),
    Weapon.CLOCK: (2.0, 6.0),
    Weapon.MEMORY: (1.0, 4.0),
}
"""Shorter and longer than a lease of 3 s."""
ALL_STOP_SECONDS: Final = (6.0, 9.0)
"""How long all dispatchers stand still together: workers pull by themselves after 5 s without one."""
DELAYS: Final = (0.02, 0.4)
JUMPS: Final = (3600.0, -3600.0, 90.0, -90.0)


def draw_blows(draw: Random, seconds: float, arms: Sequence[tuple[Weapon, str]]) -> list[Blow]:
    """A storm, then blows one by one; of `arms` each in turn, in an order drawn anew each round."""
    storm = seconds * STORM_SHARE if seconds > 2 * ALONE_GAP_SECONDS else seconds
    blows: list[Blow] = []
    at, deck = draw.uniform(*STORM_GAP_SECONDS), list[tuple[Weapon, str]]()
    while at < storm:
        deck = deck or draw.sample(arms, len(arms))
        blows.append(_blow(draw, *deck.pop(), at))
        at += draw.uniform(*STORM_GAP_SECONDS)
    at, deck = storm + ALONE_GAP_SECONDS / 2, []
    kills = [(weapon, target) for weapon, target in arms if weapon is Weapon.KILL and target != "client"]
    while at < seconds:
        deck = deck or draw.sample(kills, len(kills))
        blows.append(_blow(draw, *deck.pop(), at, alone=True))
        at += ALONE_GAP_SECONDS
    return blows


def arms_for(nodes: int, *, disks: bool, clocks: bool) -> list[tuple[Weapon, str]]:
    """All that can be done to a yard whose bus has so many nodes."""
    servers = bus_names(nodes)
    hit = [(weapon, target) for target in (*servers, *TALKING) for weapon in _SIGNALS]
    hit += [(weapon, target) for target in TALKING for weapon in _WEATHERS]
    hit += [(Weapon.STOP, ALL_DISPATCHERS)]
    hit += [(Weapon.MEMORY, target) for target in (*DISPATCHERS, *WORKERS)]
    hit += [(Weapon.HANG, target) for target in WORKERS]
    hit += [(Weapon.ROT, target) for target in (BLOBS, *WORKERS)]
    if disks:
        hit += [(Weapon.DISK_FULL, target) for target in (*servers, *WORKERS)]
    if clocks:
        hit += [(Weapon.CLOCK, target) for target in (DISPATCHERS[0], WORKERS[1])]
    if nodes > 1:
        hit += [(Weapon.KILL, LEADER), (Weapon.STOP, LEADER), (Weapon.KILL, ALL_BUS)]
        hit += [(Weapon.CUT, server) for server in servers]
    return hit


_SIGNALS = (Weapon.KILL, Weapon.TERM, Weapon.STOP)
_WEATHERS = (Weapon.CUT, Weapon.RESET, Weapon.DELAY, Weapon.LOSS, Weapon.SLOW)


def bus_names(nodes: int) -> tuple[str, ...]:
    """`bus`, or `bus-1` and so on."""
    return ("bus",) if nodes == 1 else tuple(f"bus-{number}" for number in range(1, nodes + 1))


def _blow(draw: Random, weapon: Weapon, target: str, at: float, *, alone: bool = False) -> Blow:
    lasts = ALL_STOP_SECONDS if target == ALL_DISPATCHERS else LASTS.get(weapon, (0.0, 0.0))
    seconds, delay, jump = draw.uniform(*lasts), draw.uniform(*DELAYS), draw.choice(JUMPS)
    amount = {Weapon.DELAY: delay, Weapon.CLOCK: jump}.get(weapon, 0.0)
    return Blow(
        at_seconds=round(at, 2),
        target=target,
        weapon=weapon,
        seconds=round(seconds, 2),
        amount=round(amount, 3),
        alone=alone,
    )
