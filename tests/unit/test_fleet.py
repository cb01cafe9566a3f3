"""What the dispatcher believes of workers (A4): no room is given twice, no held job forgotten."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.unit.conftest import BASE_DIGEST, make_advert, make_load

from lorayard_dispatcher.fleet import SETTLED_SECONDS, Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.known_worker import MOST_DOUBTFUL, SILENT_SECONDS
from lorayard_schemas.advert import RefusedAdapter, SlotAdvert, WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad

A, B = ("sha256:" + letter * 8 for letter in "ab")
BASE = BASE_DIGEST
NOW = 1_000_000.0
"""Unix seconds at 0 of the fleet's own clock."""


def load(number: int = 1, *, seen: int = 0, room: int = 4, holding: str = "", epoch: int = 1) -> WorkerLoad:
    return make_load(epoch=epoch, number=number, seen={"d": seen}, room=room, holding=tuple(holding))


def advert(
    report: WorkerLoad | None = None,
    *,
    epoch: int = 1,
    sequence: int = 1,
    slots: tuple[SlotAdvert, ...] = (),
    worker: str = "w",
) -> WorkerAdvert:
    return make_advert(worker, epoch=epoch, sequence=sequence, load=report or load(epoch=epoch), slots=slots)


def held(key: str, group: str = A) -> HeldJob:
    return HeldJob(key=key, lease=f"lease-{key}", group=group, tenant="t", job=f"job-{key}")


def a_fleet(report: WorkerLoad | None = None) -> Fleet:
    fleet = Fleet("d")
    fleet.on_advert(advert(report), 0.0)
    return fleet


def room(fleet: Fleet) -> int:
    return fleet.views(0.0, NOW)[0].room


def test_a_hand_over_takes_room_before_it_is_sent() -> None:
    fleet = a_fleet()
    fleet.give("w", [held("1"), held("2")])
    assert room(fleet) == 2


def test_a_report_from_before_the_hand_over_gives_its_room_to_nobody_else() -> None:
    """It says room for 4, but has not seen what is on its way."""
    fleet = a_fleet()
    number = fleet.give("w", [held("1"), held("2")])
    fleet.on_load(load(2, seen=number - 1, room=4), 0.0)
    assert room(fleet) == 2
    fleet.on_advert(advert(load(3, seen=number - 1, room=4), sequence=2), 0.0)
    assert room(fleet) == 2


def test_a_report_that_has_seen_the_hand_over_speaks_for_itself() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1"), held("2")])
    fleet.on_load(load(2, seen=number, room=3, holding="1"), 0.0)
    assert room(fleet) == 3


def test_room_is_never_below_nothing() -> None:
    fleet = a_fleet(load(room=1))
    fleet.give("w", [held("1"), held("2")])
    assert room(fleet) == 0


def test_an_older_report_is_ignored() -> None:
    fleet = a_fleet(load(5, room=1))
    fleet.on_load(load(4, room=9), 0.0)
    assert room(fleet) == 1


def test_a_report_of_another_life_is_ignored() -> None:
    fleet = a_fleet(load(room=1))
    fleet.on_load(load(9, room=9, epoch=2), 0.0)
    fleet.on_load(load(9, room=9, epoch=0), 0.0)
    assert room(fleet) == 1


def test_a_report_of_a_worker_nobody_knows_is_ignored() -> None:
    fleet = Fleet("d")
    fleet.on_load(load(), 0.0)
    assert fleet.workers == ()


def test_an_advert_delivered_late_is_ignored() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert(sequence=5, slots=(SlotAdvert(digest=A),)), 0.0)
    fleet.on_advert(advert(sequence=4), 0.0)
    fleet.on_advert(advert(epoch=0, sequence=9), 0.0)
    assert set(fleet.views(0.0, NOW)[0].resident) == {A}


def test_a_new_life_returns_what_the_old_one_held() -> None:
    """Its leases are given back at once instead of running out."""
    fleet = a_fleet()
    number = fleet.give("w", [held("1")])
    fleet.settle("w", number, refused=frozenset())
    assert [job.key for job in fleet.on_advert(advert(epoch=2), 1.0)] == ["1"]
    assert fleet.holder("t", "job-1") is None
    assert fleet.epoch("w") == 2


def test_a_death_returns_what_was_held_and_what_was_on_its_way() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1")])
    fleet.settle("w", number, refused=frozenset())
    fleet.give("w", [held("2")])
    assert {job.key for job in fleet.on_death("w", 0.0)} == {"1", "2"}
    assert fleet.workers == ()
    assert fleet.on_death("w", 0.0) == ()


def test_what_was_on_its_way_to_the_dead_is_settled_without_harm() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1")])
    fleet.on_death("w", 0.0)
    fleet.settle("w", number, refused=frozenset())
    fleet.on_advert(advert(epoch=2), 0.0)
    fleet.settle("w", number, refused=frozenset())
    assert fleet.on_death("w", 0.0) == ()


ORDERS = list(permutations(["reply", "report", "advert"]))


@pytest.mark.parametrize("order", ORDERS, ids=["-".join(order) for order in ORDERS])
def test_reply_report_and_advert_may_come_in_any_order(order: tuple[str, ...]) -> None:
    """Of two jobs one is refused; whatever comes first, the other is held and its room is gone once."""
    fleet = a_fleet()
    number = fleet.give("w", [held("1"), held("2")])
    told = {"reply": 2, "report": 3, "advert": 4}
    for step in order:
        report = load(told[step], seen=number, room=3, holding="1")
        if step == "reply":
            fleet.on_load(report, 0.0)
            fleet.settle("w", number, refused=frozenset({"2"}))
        elif step == "report":
            fleet.on_load(report, 0.0)
        else:
            fleet.on_advert(advert(report, sequence=2), 0.0)
    assert room(fleet) == 3
    assert fleet.holder("t", "job-1") == "w"
    assert fleet.holder("t", "job-2") is None
    assert [job.key for job in fleet.on_death("w", 0.0)] == ["1"]


def test_a_job_finished_before_its_reply_arrived_is_held_by_nobody() -> None:
    """An echo worker is that fast."""
    fleet = a_fleet()
    number = fleet.give("w", [held("1")])
    fleet.on_load(load(3, seen=number, room=4), 0.0)
    fleet.on_load(load(2, seen=number, room=3, holding="1"), 0.0)
    fleet.settle("w", number, refused=frozenset())
    assert fleet.on_death("w", 0.0) == ()


def test_a_hand_over_that_failed_gives_its_room_back() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1")])
    fleet.settle("w", number, refused=None)
    assert room(fleet) == 4
    assert fleet.on_death("w", 0.0) == ()


def test_a_job_on_its_way_is_found_by_its_name() -> None:
    fleet = a_fleet()
    fleet.give("w", [held("1")])
    assert fleet.holder("t", "job-1") == "w"
    assert fleet.holder("another", "job-1") is None


def test_an_adapter_on_its_way_counts_as_held_and_in_use() -> None:
    """Or the next plan would load it a second time elsewhere, or give its slot away."""
    fleet = a_fleet()
    fleet.give("w", [held("1", A), held("2", "")])
    (view,) = fleet.views(0.0, NOW)
    assert set(view.resident) == view.in_use == {A}


def test_slots_with_rows_or_pins_are_in_use_and_idle_ones_only_held() -> None:
    slots = (SlotAdvert(digest=A, rows=1), SlotAdvert(digest=B))
    fleet = Fleet("d")
    fleet.on_advert(advert(slots=slots), 0.0)
    (view,) = fleet.views(0.0, NOW)
    assert set(view.resident) == {A, B}
    assert view.in_use == {A}
    fleet.on_advert(advert(sequence=2, slots=(SlotAdvert(digest=B, pinned=True),)), 0.0)
    assert fleet.views(0.0, NOW)[0].in_use == {B}


def test_nothing_is_given_to_the_silent_the_draining_and_the_unreachable() -> None:
    fleet = a_fleet()
    assert fleet.views(SILENT_SECONDS, NOW)
    assert not fleet.views(SILENT_SECONDS + 1, NOW)
    fleet.on_unreachable("w")
    assert not fleet.views(0.0, NOW)
    fleet.on_advert(advert(sequence=2), 0.0)
    assert fleet.views(0.0, NOW), "it has beaten again"
    draining = load(9).model_copy(update={"draining": True})
    fleet.on_load(draining, 0.0)
    assert not fleet.views(0.0, NOW)


def test_what_a_worker_lacks_is_remembered_while_it_lives() -> None:
    fleet = a_fleet()
    fleet.on_lacking("w", A)
    assert fleet.views(0.0, NOW)[0].lacks == {A}
    fleet.on_advert(advert(epoch=2), 0.0)
    assert fleet.views(0.0, NOW)[0].lacks == frozenset()


def test_an_adapter_is_given_up_only_when_every_worker_lacks_it() -> None:
    fleet = a_fleet()
    fleet.on_advert(advert(worker="v"), 0.0)
    fleet.on_lacking("w", A)
    assert not fleet.all_lack(A)
    fleet.on_lacking("v", A)
    assert fleet.all_lack(A)
    assert not Fleet("d").all_lack(A), "without a worker nobody can know"


def test_a_restarted_dispatcher_of_the_same_name_numbers_on() -> None:
    """A worker says how far it has seen: an old high number must not pass for having seen the new ones."""
    before = Fleet("d", numbered_from=100)
    before.on_advert(advert(), 0.0)
    last = before.give("w", [held("1")])
    after = Fleet("d", numbered_from=200)
    after.on_advert(advert(load(7, seen=last)), 0.0)
    after.give("w", [held("2")])
    after.on_load(load(8, seen=last, room=4), 0.0)
    assert room(after) == 3


def test_workers_are_seen_in_order_of_name() -> None:
    fleet = Fleet("d")
    for name in ("w2", "w10", "w1"):
        fleet.on_advert(advert(worker=name), 0.0)
    assert [view.worker for view in fleet.views(0.0, NOW)] == ["w1", "w10", "w2"]
    assert "w1" in fleet
    assert "w3" not in fleet


def test_a_base_model_that_nobody_runs_counts_as_missing_only_once_the_fleet_has_settled() -> None:
    """B6: a crashed worker comes back within seconds, so its jobs wait that long."""
    fleet = Fleet("d")
    assert not fleet.is_settled(1000.0), "with nobody there, nobody can tell"

    fleet.on_advert(advert(worker="w1"), 1000.0)

    assert not fleet.is_settled(1000.0 + SETTLED_SECONDS - 1)
    assert fleet.is_settled(1000.0 + SETTLED_SECONDS)
    fleet.on_advert(advert(worker="w2"), 1100.0)
    fleet.on_death("w2", 1200.0)
    assert not fleet.is_settled(1201.0)


def test_what_can_be_served_is_what_fits_a_live_worker_that_does_not_lack_it() -> None:
    fleet = Fleet("d")
    ours = advert(worker="w1")
    fleet.on_advert(ours, 0.0)

    assert fleet.can_serve("a", ours.base_digest)
    assert fleet.can_serve("a", None)
    assert not fleet.can_serve("a", "sha256:" + "ff" * 32)
    fleet.on_lacking("w1", "a")
    assert not fleet.can_serve("a", ours.base_digest)
    assert fleet.can_serve("b", ours.base_digest)


def test_an_adapter_needs_slots_that_it_fits_into__b11() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert(worker="none").model_copy(update={"slot_count": 0}), 0.0)
    assert not fleet.can_serve(A, BASE)
    assert fleet.can_serve("", None)
    assert fleet.most_columns() is None
    fleet.on_advert(advert(worker="narrow").model_copy(update={"columns_total": 32}), 0.0)
    assert fleet.can_serve(A, BASE, 32)
    assert not fleet.can_serve(A, BASE, 40)
    assert fleet.most_columns() == 32
    view = fleet.views(0.0, NOW)[0]
    assert (view.worker, view.columns) == ("narrow", 32)
    fleet.on_advert(advert(worker="uncounted"), 0.0)
    assert fleet.can_serve(A, BASE, 40)
    assert fleet.most_columns() is None


def test_where_all_serve_one_adapter_alone_nobody_serves_the_base_model() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert().model_copy(update={"dedicated": A}), 0.0)
    assert not fleet.can_serve("", None)
    fleet.on_advert(advert(worker="shared"), 0.0)
    assert fleet.can_serve("", None)


def test_a_dedicated_worker_serves_and_holds_one_adapter() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert().model_copy(update={"dedicated": A}), 0.0)
    assert fleet.can_serve(A, BASE)
    assert not fleet.can_serve(B, BASE)
    view = fleet.views(0.0, NOW)[0]
    assert view.dedicated == A
    assert A in view.resident


def test_an_adapter_that_a_worker_refuses_is_found_by_name_and_version() -> None:
    fleet = Fleet("d")
    broken = RefusedAdapter(name="acme/m/t", version="2", reason="a pickle")
    fleet.on_advert(advert().model_copy(update={"refused_adapters": (broken,)}), 0.0)
    said = "worker w refuses acme/m/t@2: a pickle"
    assert fleet.refused("acme/m/t") == fleet.refused("acme/m/t@2") == said
    assert fleet.refused("acme/m/t@1") is None
    assert fleet.refused("acme/m/other") is None


def test_jobs_of_a_hand_over_without_an_answer_take_no_room_and_are_not_forgotten__d4() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1"), held("2")])
    fleet.doubt("w", number)
    assert room(fleet) == 4
    assert [job.key for _, job in fleet.handed()] == ["1", "2"]
    assert fleet.on_death("w", 0.0) == (), "nobody knows that it had them"


def test_a_report_tells_what_came_of_a_hand_over_without_an_answer__d4() -> None:
    fleet = a_fleet()
    number = fleet.give("w", [held("1"), held("2")])
    fleet.doubt("w", number)
    fleet.on_load(load(2, seen=number - 1), 0.0)
    assert [job.key for _, job in fleet.handed()] == ["1", "2"]
    fleet.on_load(load(3, seen=number, holding="2"), 0.0)
    assert [job.key for _, job in fleet.handed()] == ["2"]
    assert [job.key for job in fleet.on_death("w", 0.0)] == ["2"]


def test_of_a_worker_that_never_answers_no_more_than_some_hand_overs_are_kept() -> None:
    fleet = a_fleet()
    for number in range(2 * MOST_DOUBTFUL):
        fleet.doubt("w", fleet.give("w", [held(str(number))]))
    left = [job.key for _, job in fleet.handed()]
    assert left == [str(number) for number in range(MOST_DOUBTFUL, 2 * MOST_DOUBTFUL)]


def test_a_silence_is_told_however_long_it_lasts__f2() -> None:
    """Of a dispatcher that hears nobody, an alert goes on; its views are of workers that may get work."""
    fleet = a_fleet()
    late = SILENT_SECONDS + 60.0
    assert fleet.views(late, NOW) == ()
    assert fleet.longest_silence(late) == late
    fleet.on_advert(advert(load(2), sequence=2), late)
    assert fleet.longest_silence(late) == 0.0
    assert Fleet("d").longest_silence(late) == 0.0
