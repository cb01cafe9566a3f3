"""Seats are dealt out in turn, beginning with the dispatcher that is alive for longest."""

from __future__ import annotations

from lorayard_dispatcher.seats import seats_of
from lorayard_schemas.seat import DispatcherAdvert


def advert(name: str, started_at: float) -> DispatcherAdvert:
    return DispatcherAdvert(dispatcher=name, started_at=started_at)


def test_with_one_partition_the_oldest_is_active_and_a_new_one_takes_nothing_over__a3() -> None:
    living = [advert("a", 3.0), advert("b", 1.0), advert("c", 2.0)]
    assert [seats_of(name, 1, living) for name in "abc"] == [frozenset(), {0}, frozenset()]


def test_every_seat_has_one_dispatcher_and_they_share_evenly() -> None:
    living = [advert(name, float(number)) for number, name in enumerate("abc")]
    dealt = [seats_of(name, 8, living) for name in "abc"]
    assert sorted(seat for seats in dealt for seat in seats) == list(range(8))
    assert {len(seats) for seats in dealt} == {2, 3}


def test_two_of_one_age_agree_by_name_and_nobody_gets_what_nobody_is_there_for() -> None:
    living = [advert("b", 1.0), advert("a", 1.0)]
    assert [seats_of(name, 2, living) for name in "ab"] == [{0}, {1}]
    assert seats_of("a", 2, []) == frozenset()
