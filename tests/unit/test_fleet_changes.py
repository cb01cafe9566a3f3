"""What a planner with an index is told of the fleet: what changed, by itself or by time, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.conftest import make_advert, make_load

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.known_worker import (
    MOST_LOAD_SECONDS,
    REST_SECONDS,
    SILENT_SECONDS,
    STALE_SECONDS,
)
from lorayard_dispatcher.planning.values import WorkerView
from lorayard_schemas.advert import SlotAdvert, WorkerAdvert
from lorayard_schemas.assignment import RefusalReason, WorkerLoad

A, B = ("sha256:" + letter * 8 for letter in "ab")
EPOCH = 1_000_000.0
"""Unix seconds at 0 of the fleet's own clock."""
LATE = STALE_SECONDS + 0.1


def load(
    number: int = 1, *, worker: str = "w", room: int = 4, holding: str = "", seen: int = 0
) -> WorkerLoad:
    return make_load(worker, number=number, seen={"d": seen}, room=room, holding=tuple(holding))


def advert(
    sequence: int = 1,
    report: WorkerLoad | None = None,
    *,
    worker: str = "w",
    slots: str = "",
    epoch: int = 1,
    at: float = EPOCH,
    used: float = 0.0,
    **given: object,
) -> WorkerAdvert:
    said = (report or load(sequence, worker=worker)).model_copy(update={"epoch": epoch})
    told = tuple(SlotAdvert(digest=digest, last_used=used) for digest in slots.split())
    made = make_advert(worker, epoch=epoch, sequence=sequence, load=said, at=at, slots=told)
    return made.model_copy(update=given)


def held(key: str, group: str = A) -> HeldJob:
    return HeldJob(key=key, lease=f"lease-{key}", group=group, tenant="t", job=f"job-{key}")


def a_fleet(*adverts: WorkerAdvert) -> Fleet:
    fleet = Fleet("d")
    for one in adverts or (advert(),):
        fleet.on_advert(one, 0.0)
    return fleet


def changed(fleet: Fleet, now: float = 0.0) -> tuple[list[str], list[str]]:
    views, gone = fleet.changed(now, EPOCH + now)
    return [view.worker for view in views], list(gone)


def seen(fleet: Fleet, now: float) -> WorkerView:
    (view,) = fleet.views(now, EPOCH + now)
    return view


# ---- what changed


def test_a_change_is_told_once_and_a_fleet_that_is_quiet_tells_nothing() -> None:
    fleet = a_fleet(advert(worker="w2"), advert(worker="w1"))
    assert changed(fleet) == (["w1", "w2"], [])
    assert changed(fleet) == ([], [])
    fleet.on_load(load(2, worker="w2", room=1), 0.5)
    assert changed(fleet, 0.5) == (["w2"], [])


def test_a_hand_over_and_its_answer_change_the_view() -> None:
    fleet = a_fleet()
    changed(fleet)
    number = fleet.give("w", [held("1")])
    assert changed(fleet) == (["w"], [])
    fleet.settle("w", number, refused=frozenset())
    assert changed(fleet) == (["w"], [])


def test_a_worker_that_dies_is_gone_once_and_one_never_told_is_not_missed() -> None:
    fleet = a_fleet()
    changed(fleet)
    fleet.on_death("w", 1.0)
    assert changed(fleet, 1.0) == ([], ["w"])
    fleet.on_advert(advert(worker="v"), 1.0)
    fleet.on_death("v", 1.0)
    assert changed(fleet, 1.0) == ([], [])


def test_a_new_life_is_a_changed_view_and_not_a_loss() -> None:
    fleet = a_fleet()
    changed(fleet)
    fleet.on_advert(advert(epoch=2), 1.0)
    assert changed(fleet, 1.0) == (["w"], [])


def test_growing_stale_and_falling_silent_are_changes_though_nothing_is_heard() -> None:
    fleet = a_fleet()
    changed(fleet)
    assert changed(fleet, STALE_SECONDS) == ([], [])
    assert changed(fleet, LATE) == (["w"], [])
    assert changed(fleet, LATE + 1) == ([], [])
    assert changed(fleet, SILENT_SECONDS + 0.1) == ([], ["w"])
    fleet.on_advert(advert(2), 20.0)
    assert changed(fleet, 20.0) == (["w"], [])
    assert changed(fleet, 20.0 + LATE) == (["w"], []), "and it is watched again"


def test_a_wall_clock_that_is_set_tells_every_view_anew_once() -> None:
    """What they say in unix seconds was by the old one."""
    fleet = a_fleet(advert(slots=A))
    (before,), _ = fleet.changed(1.0, EPOCH)
    assert fleet.changed(1.2, EPOCH + 0.2) == ((), ())
    (after,), _ = fleet.changed(1.4, EPOCH - 3600)
    assert before.resident[A].loaded_at == EPOCH - 1.0
    assert after.resident[A].loaded_at == pytest.approx(EPOCH - 3600 - 1.4)
    assert fleet.changed(1.5, EPOCH - 3600) == ((), ())


NAMES = st.sampled_from(["w1", "w2", "w3"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["advert", "load", "give", "settle", "death", "unreachable", "full", "again", "ask"]),
        NAMES,
        st.floats(0, 4),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(STEPS)
def test_who_keeps_what_changed_knows_what_who_lists_them_all_knows(
    steps: list[tuple[str, str, float]],
) -> None:
    """But for ages, which grow by themselves."""
    fleet, now, kept, numbers = Fleet("d"), 0.0, dict[str, WorkerView](), dict[str, int]()
    for count, (step, name, passes) in enumerate(steps, start=2):
        now += passes
        if step == "advert":
            fleet.on_advert(advert(count, worker=name), now)
        elif step == "again":
            fleet.on_advert(advert(count, worker=name, epoch=count), now)
        elif step == "load":
            fleet.on_load(load(count, worker=name, room=count), now)
        elif step == "give" and name in fleet:
            numbers[name] = fleet.give(name, [held(f"k{count}")])
        elif step == "settle" and name in numbers:
            fleet.settle(name, numbers.pop(name), refused=frozenset())
        elif step == "death":
            fleet.on_death(name, now)
        elif step == "unreachable":
            fleet.on_unreachable(name)
        elif step == "full":
            fleet.on_refusals(name, frozenset({RefusalReason.NO_ROOM}), now)
        views, gone = fleet.changed(now, EPOCH + now)
        kept.update({view.worker: view for view in views})
        for lost in gone:
            del kept[lost]
        listed = {view.worker: view for view in fleet.views(now, EPOCH + now)}
        assert kept.keys() == listed.keys()
        for worker, view in listed.items():
            mine = kept[worker]
            assert (mine.room, mine.in_flight, mine.lacks) == (view.room, view.in_flight, view.lacks)
            assert mine.resident.keys() == view.resident.keys()


# ---- what is believed when


def test_the_age_of_a_view_counts_from_the_last_word_whatever_it_was() -> None:
    fleet = a_fleet()
    assert seen(fleet, 1.0).age_seconds == 1.0
    fleet.on_load(load(2), 1.0)
    assert seen(fleet, 1.5).age_seconds == 0.5


def test_a_repeated_word_makes_no_view_younger() -> None:
    """A bucket is listed again after a reconnect: what it says may be seconds old."""
    fleet = a_fleet()
    fleet.on_advert(advert(), 1.0)
    fleet.on_load(load(1), 1.0)
    assert seen(fleet, 1.0).age_seconds == 1.0


def test_a_stale_view_counts_own_hand_overs_and_no_load_of_others() -> None:
    """Others may have filled it or left it; what it refuses costs a message."""
    fleet = a_fleet(advert(report=load(room=1, holding="xyz")))
    number = fleet.give("w", [held("1")])
    fleet.settle("w", number, refused=frozenset())
    fleet.on_load(load(2, room=0, holding="xyz1", seen=number), 0.0)
    fleet.give("w", [held("2")])
    assert (seen(fleet, 0.0).room, seen(fleet, 0.0).in_flight) == (0, 5)
    assert (seen(fleet, LATE).room, seen(fleet, LATE).in_flight) == (2, 2)
    assert fleet.stale(LATE) == (1, 1)


def test_a_stale_view_keeps_its_adapters() -> None:
    fleet = a_fleet(advert(slots=A))
    assert set(seen(fleet, SILENT_SECONDS).resident) == {A}


def test_all_that_a_worker_holds_counts_as_its_load_whoever_gave_it() -> None:
    fleet = a_fleet(advert(report=load(room=1, holding="xyz")))
    fleet.give("w", [held("1")])
    assert seen(fleet, 0.0).in_flight == 4


# ---- since when an adapter is in its slot


def test_an_adapter_is_as_old_in_its_slot_as_it_was_seen_there_by_our_clock() -> None:
    fleet = a_fleet(advert(slots=A, at=5.0))
    fleet.on_advert(advert(2, slots=f"{A} {B}"), 3.0)
    resident = seen(fleet, 4.0).resident
    assert (resident[A].loaded_at, resident[B].loaded_at) == (EPOCH, EPOCH + 3)


def test_an_adapter_that_left_and_came_again_begins_anew() -> None:
    fleet = a_fleet(advert(slots=A))
    fleet.on_advert(advert(2), 1.0)
    fleet.on_advert(advert(3, slots=A), 2.0)
    assert seen(fleet, 2.0).resident[A].loaded_at == EPOCH + 2


def test_a_new_life_forgets_what_was_in_the_slots_and_since_when() -> None:
    fleet = a_fleet(advert(slots=f"{A} {B}"))
    fleet.on_advert(advert(epoch=2, slots=A), 2.0)
    resident = seen(fleet, 2.0).resident
    assert set(resident) == {A}
    assert resident[A].loaded_at == EPOCH + 2


def test_an_adapter_on_its_way_is_new() -> None:
    fleet = a_fleet()
    fleet.give("w", [held("1")])
    assert seen(fleet, 1.0).resident[A].loaded_at == EPOCH + 1


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_a_workers_clock_may_be_an_hour_off(skew: float) -> None:
    """An adapter was last used so long ago by its own clock: only the difference counts."""
    at = EPOCH + skew
    fleet = a_fleet(advert(slots=A, at=at, used=at - 7))
    assert seen(fleet, 2.0).resident[A].last_used == EPOCH - 7


# ---- words that contradict themselves


def test_a_worker_that_refuses_what_it_says_it_takes_rests() -> None:
    """Or the same job would go there and back as fast as messages travel."""
    fleet = a_fleet()
    fleet.on_refusals("w", frozenset({RefusalReason.NO_ROOM}), 0.0)
    fleet.on_load(load(2, room=9), 0.1)
    assert not fleet.views(0.1, EPOCH)
    assert changed(fleet, REST_SECONDS + 0.01) == (["w"], [])


def test_a_worker_that_is_full_and_says_so_needs_no_rest() -> None:
    fleet = a_fleet(advert(report=load(room=0)))
    fleet.on_refusals("w", frozenset({RefusalReason.NO_ROOM}), 0.0)
    fleet.on_load(load(2, room=1), 0.1)
    assert seen(fleet, 0.1).room == 1


@pytest.mark.parametrize("reason", [RefusalReason.STALE_EPOCH, RefusalReason.DEDICATED])
def test_a_worker_of_another_life_or_for_another_adapter_gets_nothing_until_it_beats_again(
    reason: RefusalReason,
) -> None:
    fleet = a_fleet()
    fleet.on_refusals("w", frozenset({reason}), 0.0)
    assert not fleet.views(0.0, EPOCH)
    fleet.on_advert(advert(2), 0.0)
    assert fleet.views(0.0, EPOCH)


def test_no_number_is_beyond_what_a_worker_can_be() -> None:
    """One that claims endless room and slots must not draw all the work to itself."""
    huge = 2**63
    boast = advert(report=load(room=huge), slot_count=huge, rows_max=huge, load_ms_host=1e300)
    view = seen(a_fleet(boast), 0.0)
    assert max(view.room, view.slots, view.rows) < 10_000
    assert view.load_seconds_host == MOST_LOAD_SECONDS


def test_a_dispatcher_numbers_on_from_what_workers_have_seen_of_it() -> None:
    """Its own clock may have been set back since: a lower number would pass for seen."""
    fleet = Fleet("d", numbered_from=10)
    fleet.on_advert(advert(report=load(seen=500)), 0.0)
    assert fleet.give("w", [held("1")]) == 501
    fleet.on_advert(advert(worker="v", report=load(worker="v", seen=2**63)), 0.0)
    assert fleet.give("w", [held("2")]) == 502, "a claim that leaves no room for numbers is not believed"
