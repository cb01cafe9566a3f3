"""What others write under a worker's name hides that worker for one time to live, not for ever (B6)."""

from __future__ import annotations

from tests.unit.conftest import make_advert, make_load

from lorayard_dispatcher.fleet import Fleet
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS

HUGE = 2**60
NOW = 1_000_000.0
QUIET = WORKER_TTL_SECONDS + 1.0


def a_fleet() -> Fleet:
    fleet = Fleet("d")
    fleet.on_advert(make_advert(sequence=1), 0.0)
    return fleet


def room(fleet: Fleet, now: float) -> list[int]:
    return [view.room for view in fleet.views(now, NOW)]


def test_a_forged_sequence_is_believed_no_longer_than_it_is_renewed() -> None:
    fleet = a_fleet()
    forged = make_load(number=HUGE, room=0)
    fleet.on_advert(make_advert(sequence=HUGE, load=forged), 0.0)
    fleet.on_advert(make_advert(sequence=2), 1.0)
    assert room(fleet, 1.0) == [0]
    assert fleet.contradicted() == []
    fleet.on_advert(make_advert(sequence=7), QUIET)
    assert room(fleet, QUIET) == [4]
    assert fleet.contradicted() == ["w"]
    assert fleet.contradicted() == []
    fleet.on_advert(make_advert(sequence=8, load=make_load(number=8, room=3)), QUIET + 1.0)
    assert room(fleet, QUIET + 1.0) == [3]


def test_a_forged_report_is_believed_no_longer_than_it_is_renewed() -> None:
    """Its adverts go on, so it is heard; only what they say of its load goes unheard."""
    fleet = a_fleet()
    fleet.on_load(make_load(number=HUGE, room=0), 0.0)
    for second in range(2, WORKER_TTL_SECONDS + 1):
        fleet.on_advert(make_advert(sequence=second), float(second))
        assert room(fleet, float(second)) == [0]
    fleet.on_advert(make_advert(sequence=9), QUIET)
    assert room(fleet, QUIET) == [4]
    assert fleet.contradicted() == ["w"]


def test_a_forged_life_is_over_when_it_is_not_renewed() -> None:
    fleet = a_fleet()
    fleet.on_advert(make_advert(epoch=HUGE, load=make_load(epoch=HUGE, room=0)), 0.0)
    fleet.on_advert(make_advert(sequence=2), 1.0)
    assert fleet.epoch("w") == HUGE
    fleet.on_advert(make_advert(sequence=7), QUIET)
    assert (fleet.epoch("w"), room(fleet, QUIET)) == (1, [4])
    assert fleet.contradicted() == ["w"]


def test_an_older_report_that_comes_late_is_no_contradiction() -> None:
    fleet = a_fleet()
    fleet.on_load(make_load(number=3, room=1), 1.0)
    fleet.on_load(make_load(number=2, room=4), 1.1)
    assert room(fleet, 1.1) == [1]
    assert fleet.contradicted() == []
