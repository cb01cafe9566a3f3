"""What a dispatcher's status says of limits and of jobs that were shed."""

from __future__ import annotations

import time
from collections import Counter
from typing import TypedDict

from lorayard_dispatcher.limits import Limits
from lorayard_dispatcher.shedding import Shedding

MOST_TIGHT = 8
"""Named in a status; `limits show` tells of all."""


class LimitStatus(TypedDict):
    """Fields of `DispatcherStatus`."""

    limits: int
    limits_refused: int
    limits_refused_for: dict[str, int]
    limits_waiting: int
    limits_delayed: int
    limits_tight: tuple[str, ...]
    shed_hopeless: int
    shed_by_lane: int


def limit_status(limits: Limits, shedding: Shedding) -> LimitStatus:
    """As they are now."""
    refused = Counter[str]()
    for gate in limits.gates:
        refused.update(gate.refused)
    return LimitStatus(
        limits=sum(1 for _ in limits.gates),
        limits_refused=limits.refused,
        limits_refused_for=dict(sorted(refused.items())),
        limits_waiting=limits.held,
        limits_delayed=limits.delayed,
        limits_tight=tuple(_tight(limits)[:MOST_TIGHT]),
        shed_hopeless=shedding.hopeless,
        shed_by_lane=shedding.by_lane,
    )


def _tight(limits: Limits) -> list[str]:
    now, unix = time.monotonic(), time.time()
    return [
        f"{use.name} of {gate.label}"
        for gate in limits.gates
        for use in gate.uses(now, unix)
        if use.used + 1.0 > (gate.room_of(use.name) or use.value)
    ]
