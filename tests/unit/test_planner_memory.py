"""What a planner remembers follows what is there, not what was: adapters, tenants and workers come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import pytest

from lorayard_dispatcher.planning import demand, pulls, shares
from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Resident, WaitingJob, WorkerView
from lorayard_shared.rendezvous import strongest

TURN = 400
"""Jobs in one turn of the yard; after it no name comes again."""
FLEET = 4
FORGOTTEN_SECONDS = 100.0
"""After so long what was asked for, promised or measured means nothing."""


def test_a_planner_does_not_grow_with_what_has_gone__b5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "MOST_GROUPS", 32)  # as for a yard that has been up for months
    monkeypatch.setattr(shares, "MOST_TENANTS", 8)
    planner = Planner(Policy(quantum_tokens=500.0))
    for turn in range(5):
        _turn(planner, turn)
    before = _entries(planner)
    for turn in range(5, 20):
        _turn(planner, turn)
    assert _entries(planner) <= 1.5 * before


def test_an_old_job_that_stays_does_not_keep_the_names_of_those_that_overtake_it() -> None:
    planner = Planner(Policy())
    planner.put(_job("old", "a", "held", at=0.0))
    planner.put(_job("first", "a", "quick", at=1.0))
    before = _entries(planner)
    for number in range(2_000):
        planner.put(_job(f"{number}", "a", "quick", at=2.0 + number, deadline=1e9))
        planner.take("first" if number == 0 else f"{number - 1}")
    assert _entries(planner) <= before + 200


def test_homes_that_are_remembered_are_the_same_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups times workers would be millions."""
    monkeypatch.setattr(pulls, "MOST_KEPT", 8)
    fleet = [Desk(WorkerView(worker=f"w{number}", room=1), Policy()) for number in range(4)]
    homes = pulls.Pulls()
    for group in [f"g{number}" for number in range(20)] * 2:
        found = [homes.strongest(group, fleet).name for _ in range(2)]
        assert found == strongest(group, [desk.name for desk in fleet], 1) * 2
        assert sum(len(kept) for kept in _containers(homes, set())) <= 2 * 8


def _turn(planner: Planner, turn: int) -> None:
    """Workers, adapters and tenants of their own, jobs given away and ended; then they are gone."""
    now = 1e6 + FORGOTTEN_SECONDS * turn
    workers = [f"worker-{turn}-{number}" for number in range(FLEET)]
    held: dict[str, dict[str, Resident]] = {worker: {} for worker in workers}
    keys: set[str] = set()
    for number in range(TURN):
        now += 0.01
        group, tenant = f"{turn}-{number % 40}", f"{turn}-{number % 7}"
        keys.add(key := f"{turn}-{number}")
        planner.put(_job(key, group, tenant, at=now, deadline=now + 1e5), now)
        for worker in workers:
            planner.see(
                WorkerView(
                    worker=worker, room=1, rows=2, slots=3, resident=held[worker], host=frozenset({group})
                )
            )
        for decision in planner.plan(now).decisions:
            keys.discard(decision.job)
            there = {**held[decision.worker], decision.group: Resident(last_used=now)}
            held[decision.worker] = dict(list(there.items())[-3:])
    for key in keys:
        planner.take(key)
    for worker in workers:
        planner.lose(worker)
    planner.plan(now)


def _job(key: str, group: str, tenant: str, *, at: float, deadline: float | None = None) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant=tenant, priority=1, enqueued_at=at, deadline=deadline)


def _entries(planner: Planner) -> int:
    """Of all containers that the planner holds, however deep."""
    return sum(len(found) for found in _containers(planner, set()))


def _containers(found: Any, seen: set[int]) -> Iterator[Any]:
    if id(found) in seen or isinstance(found, (str, float, int, type(None))):
        return
    seen.add(id(found))
    parts: list[Any] = []
    if isinstance(found, (dict, list, set, frozenset, deque, tuple)):
        held: Any = cast("Any", found)
        yield held
        parts += [*held, *(held.values() if isinstance(found, dict) else ())]
    elif type(found).__module__.startswith("lorayard"):
        slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
        parts += [getattr(found, name) for name in slots if hasattr(found, name)]
        parts += list(getattr(found, "__dict__", {}).values())
    for part in parts:
        yield from _containers(part, seen)
