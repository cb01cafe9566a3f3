"""Planning without sight: by hash and a bound on load, entered and left once (B6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_dispatcher.planning.blind import (
    LOAD_BOUND,
    SIGHTED_SECONDS,
    Sight,
    by_rendezvous,
    plan_blind,
)
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    BASE_GROUP,
    Phase,
    Plan,
    Queue,
    Resident,
    Source,
    WaitingJob,
    WorkerView,
)

NORMAL, URGENT = 2, 0
POLICY = Policy()
GROUPS = [f"sha256:{number:08x}" for number in range(1000)]


def job(key: str, group: str = BASE_GROUP, *, priority: int = NORMAL, at: float = 0.0) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=priority, enqueued_at=at)


def view(name: str, room: int = 4, *, in_flight: int = 0, rows: int = 4, **given: Any) -> WorkerView:
    told: dict[str, Any] = {"slots": 8, **given}
    return WorkerView(worker=name, room=room, in_flight=in_flight, rows=rows, age_seconds=2.0, **told)


def queues(jobs: Iterable[WaitingJob]) -> dict[Queue, list[WaitingJob]]:
    waiting: dict[Queue, list[WaitingJob]] = {}
    for one in sorted(jobs, key=lambda one: one.order):
        waiting.setdefault((one.group, one.priority), []).append(one)
    return waiting


def made(jobs: Iterable[WaitingJob], *fleet: WorkerView, policy: Policy = POLICY) -> Plan:
    return plan_blind(queues(jobs), fleet, policy)


def places(plan: Plan) -> dict[str, str]:
    return {decision.job: decision.worker for decision in plan.decisions}


def test_a_worker_without_slots_or_with_narrower_ones_gets_no_adapter__b11() -> None:
    policy = Policy(columns_of={GROUPS[0]: 64})
    fleet = (view("w1", slots=0), view("w2", columns=32), view("w3", columns=64))
    plan = made([job("1", GROUPS[0]), job("2", BASE_GROUP)], *fleet, policy=policy)
    assert places(plan)["1"] == "w3"
    assert not made([job("1", GROUPS[0])], *fleet[:2], policy=policy).decisions


# ---- when


def test_half_of_the_fleet_out_of_sight_is_not_blind_and_more_is() -> None:
    assert not Sight().look(stale=2, views=4, now=0.0).blind
    assert Sight().look(stale=3, views=4, now=0.0).blind
    assert not Sight().look(stale=0, views=0, now=0.0).blind, "an empty yard hides nothing"


def test_sight_comes_back_when_most_was_heard_for_a_while_and_not_at_the_first_beat() -> None:
    blind = Sight(blind=True)
    assert blind.look(stale=2, views=4, now=0.0).blind, "between the two shares it stays as it was"
    clear = blind.look(stale=1, views=4, now=0.0)
    assert clear.blind
    assert clear.look(stale=1, views=4, now=SIGHTED_SECONDS - 0.1).blind
    assert not clear.look(stale=1, views=4, now=SIGHTED_SECONDS).blind


def test_one_late_beat_after_another_turns_a_small_yard_once() -> None:
    """One worker that beats every 2 s: stale for a quarter of the time."""
    sight, turns = Sight(), 0
    for step in range(100):
        before, sight = sight, sight.look(stale=int(step % 8 >= 6), views=1, now=step / 4)
        turns += before.blind != sight.blind
    assert turns == 1
    assert sight.blind


def test_workers_that_are_all_gone_do_not_bring_sight_back() -> None:
    assert Sight(blind=True).look(stale=0, views=0, now=99.0).blind


# ---- where


def test_a_group_stays_together_at_its_home() -> None:
    fleet = [view(f"w{number}", room=50, rows=16) for number in range(4)]
    group = GROUPS[0]
    others = [job(f"o{number}", BASE_GROUP) for number in range(40)]
    plan = made([*(job(f"j{number}", group) for number in range(10)), *others], *fleet)
    home = by_rendezvous(group, fleet, POLICY)[0].worker
    assert {places(plan)[f"j{number}"] for number in range(10)} == {home}
    assert {decision.phase for decision in plan.decisions} == {Phase.BLIND}


def test_only_the_first_of_a_group_is_a_load_and_its_source_is_said() -> None:
    group, other = GROUPS[:2]
    fleet = [view("w", room=8, resident={other: Resident()}, host=frozenset({GROUPS[2]}))]
    plan = made([job("a", group), job("b", group), job("c", other), job("d", GROUPS[2])], *fleet)
    sources = {decision.job: decision.source for decision in plan.decisions}
    assert sources == {"a": Source.DISK, "b": Source.SLOT, "c": Source.SLOT, "d": Source.HOST}


def test_no_worker_is_given_more_than_a_quarter_over_its_part() -> None:
    """One adapter has all the work, and each worker room for all of it."""
    fleet = [view(f"w{number}", room=100) for number in range(4)]
    plan = made([job(f"j{number}", GROUPS[0]) for number in range(80)], *fleet)
    assert sorted(Counter(places(plan).values()).values()) == [5, 25, 25, 25]


def test_what_was_handed_over_before_counts_in_the_bound() -> None:
    home, second = by_rendezvous(GROUPS[0], [view("a"), view("b")], POLICY)
    full = [view(home.worker, room=10, in_flight=20), view(second.worker, room=10)]
    assert set(places(made([job("j", GROUPS[0])], *full)).values()) == {second.worker}


def test_a_worker_with_twice_the_rows_has_twice_the_part() -> None:
    fleet = [view("big", room=100, rows=8), view("small", room=100, rows=4)]
    counts = Counter(places(made([job(f"j{n}", GROUPS[0]) for n in range(24)], *fleet)).values())
    assert counts["big"] <= 20
    assert counts["small"] <= 10
    assert counts.total() == 24


def test_a_bound_keeps_nothing_from_the_only_worker_that_fits() -> None:
    group = GROUPS[0]
    policy = Policy(base_of={group: "m"})
    fleet = [view("w", room=9, base_digest="m"), *(view(f"x{number}", room=9) for number in range(8))]
    plan = made([job(f"j{number}", group) for number in range(9)], *fleet, policy=policy)
    assert Counter(places(plan).values()) == {"w": 9}


def test_the_urgent_go_first_and_then_the_oldest() -> None:
    jobs = [job("old", GROUPS[0], at=1.0), job("young", GROUPS[1], at=2.0)]
    urgent = job("urgent", GROUPS[2], priority=URGENT, at=3.0)
    assert set(places(made([*jobs, urgent], view("w", room=2)))) == {"urgent", "old"}


@pytest.mark.parametrize("given", [{"lacks": frozenset(GROUPS[:1])}, {"dedicated": GROUPS[1]}])
def test_a_worker_that_cannot_serve_a_group_gets_none_of_it(given: dict[str, Any]) -> None:
    assert places(made([job("j", GROUPS[0])], view("w", **given))) == {}


def test_a_dedicated_worker_gets_no_job_of_the_base_model() -> None:
    assert places(made([job("j")], view("w", dedicated=GROUPS[0]))) == {}


ROOMS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20), st.integers(0, 8)), max_size=8)
JOBS = st.lists(st.tuples(st.sampled_from([BASE_GROUP, *GROUPS[:5]]), st.integers(0, 3)), max_size=60)


@given(ROOMS, JOBS, st.randoms(use_true_random=False))
def test_no_job_twice_no_room_overdrawn_nothing_left_that_had_room_and_any_order_gives_the_same__b6(
    rooms: list[tuple[int, int, int]], wanted: list[tuple[str, int]], random: Random
) -> None:
    fleet = [
        view(f"w{number}", room, in_flight=busy, rows=rows) for number, (room, busy, rows) in enumerate(rooms)
    ]
    jobs = [job(f"j{number}", group, priority=priority) for number, (group, priority) in enumerate(wanted)]
    plan = made(jobs, *fleet)
    given = places(plan)
    assert len(given) == len(plan.decisions) == min(len(jobs), sum(worker.room for worker in fleet))
    counts = Counter(given.values())
    assert all(counts[worker.worker] <= worker.room for worker in fleet)
    random.shuffle(jobs)
    random.shuffle(fleet)
    assert made(jobs, *fleet) == plan


@given(ROOMS.filter(len), JOBS)
def test_where_every_worker_has_room_none_is_given_more_than_its_bound(
    rooms: list[tuple[int, int, int]], wanted: list[tuple[str, int]]
) -> None:
    fleet = [
        view(f"w{number}", room=60, in_flight=busy, rows=rows) for number, (_, busy, rows) in enumerate(rooms)
    ]
    plan = made([job(f"j{number}", group) for number, (group, _) in enumerate(wanted)], *fleet)
    counts = Counter(places(plan).values())
    total = sum(worker.in_flight for worker in fleet) + len(wanted)
    rows_of_all = sum(max(1, worker.rows) for worker in fleet)
    for worker in fleet:
        bound = LOAD_BOUND * total * max(1, worker.rows) / rows_of_all + 1
        assert counts[worker.worker] <= max(0, bound - worker.in_flight)


# ---- when workers come and go


@settings(max_examples=30)
@given(st.integers(2, 24), st.integers(0, 23))
def test_the_death_of_a_worker_moves_its_own_groups_and_no_other__b7(count: int, dead: int) -> None:
    """1 in W of them, and each to the second in its own order, so that they spread over all that live."""
    fleet = [view(f"w{number}") for number in range(count)]
    gone = f"w{dead % count}"
    left = [one for one in fleet if one.worker != gone]
    heirs = Counter[str]()
    for group in GROUPS[:300]:
        before = [one.worker for one in by_rendezvous(group, fleet, POLICY)]
        after = [one.worker for one in by_rendezvous(group, left, POLICY)]
        assert after == [worker for worker in before if worker != gone]
        if before[0] == gone:
            heirs[after[0]] += 1
    assert heirs.total() <= 2.2 * 300 / count + 12
    assert max(heirs.values(), default=0) <= 2.2 * heirs.total() / len(left) + 12


def test_a_worker_that_comes_back_gets_its_own_groups_again() -> None:
    fleet = [view(f"w{number}") for number in range(8)]
    homes = {group: by_rendezvous(group, fleet, POLICY)[0].worker for group in GROUPS}
    again = [*fleet[1:], view("w0")]
    assert {group: by_rendezvous(group, again, POLICY)[0].worker for group in GROUPS} == homes
