"""Who is there, who is silent and who is lost, from adverts and their expiries."""

from __future__ import annotations

from typing import Any

from tests.unit.view.conftest import NOW, made_advert

from lorayard.view.bucket_copy import Entry, Written
from lorayard.view.fleet import REMEMBERED_SECONDS, Fleet
from lorayard.view.rates import Meters
from lorayard_schemas.advert import WorkerAdvert, WorkerCounters
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS


def heard(at: float = NOW, sequence: int = 1, **given: Any) -> Entry[WorkerAdvert]:
    advert = made_advert(at=at, **given)
    return Entry(sequence=sequence, stored_at=at, written=Written.VALUE, value=advert)


def ended(written: Written, at: float = NOW) -> Entry[WorkerAdvert]:
    return Entry(sequence=2, stored_at=at, written=written, value=None)


def test_one_that_took_its_advert_down_is_gone_and_forgotten() -> None:
    fleet = Fleet()
    fleet.look({"w1": heard()}, NOW)
    fleet.look({"w1": ended(Written.TAKEN_DOWN)}, NOW)
    assert fleet.workers == {}


def test_one_that_ran_out_is_lost_until_it_comes_back_or_is_forgotten() -> None:
    fleet = Fleet()
    fleet.look({"w1": heard()}, NOW)
    fleet.look({"w1": ended(Written.EXPIRED, NOW + 5)}, NOW + 5)
    assert fleet.workers["w1"].lost(NOW + 5)
    assert fleet.workers["w1"].advert is not None
    fleet.look({}, NOW + 60)
    assert fleet.workers["w1"].lost(NOW + 60)
    fleet.look({"w1": heard(NOW + 61)}, NOW + 61)
    assert not fleet.workers["w1"].lost(NOW + 61)
    fleet.look({}, NOW + 70)
    fleet.look({}, NOW + 62 + REMEMBERED_SECONDS)
    assert fleet.workers == {}


def test_one_that_was_gone_before_anybody_looked_is_known_by_its_mark() -> None:
    fleet = Fleet()
    fleet.look({"w1": ended(Written.EXPIRED)}, NOW)
    assert fleet.workers["w1"].lost(NOW)


def test_who_has_seen_it_and_who_came_later_tell_the_same_of_one_that_ran_out__f4() -> None:
    """Also of one that drained: who came later cannot know."""
    seen, later = Fleet(), Fleet()
    seen.look({"w1": heard(load={"draining": True})}, NOW)
    mark = {"w1": ended(Written.EXPIRED, NOW + WORKER_TTL_SECONDS)}
    for after in (WORKER_TTL_SECONDS, 60, REMEMBERED_SECONDS - 1):
        told: list[tuple[bool, float]] = []
        for fleet in (seen, later):
            fleet.look(mark, NOW + after)
            one = fleet.workers["w1"]
            told.append((one.lost(NOW + after), one.age(NOW + after)))
        assert told == [(True, after)] * 2
    for fleet in (seen, later):
        fleet.look(mark, NOW + REMEMBERED_SECONDS + 1)
        assert fleet.workers == {}, "though the mark is still there"


def test_who_was_cut_off_while_it_went_tells_the_same_as_who_saw_it_go__f4() -> None:
    """The one heard it last at the beginning, the other a minute later, and then nobody."""
    cut_off, saw = Fleet(), Fleet()
    cut_off.look({"w1": heard()}, NOW)
    saw.look({"w1": heard(NOW + 60)}, NOW + 60)
    mark = {"w1": ended(Written.EXPIRED, NOW + 60 + WORKER_TTL_SECONDS)}
    for fleet in (cut_off, saw):
        fleet.look(mark, NOW + 90, heard_from=NOW + 80 if fleet is cut_off else 0.0)
        assert (fleet.workers["w1"].lost(NOW + 90), fleet.workers["w1"].age(NOW + 90)) == (True, 30)


def test_while_the_bus_was_away_nobody_was_silent() -> None:
    fleet = Fleet()
    fleet.look({"w1": heard()}, NOW + 30, heard_from=NOW + 29)
    seen = fleet.workers["w1"]
    assert not seen.lost(NOW + 30)
    assert not seen.silent(NOW + 30)
    assert seen.lost(NOW + 33)


def test_tokens_are_counted_between_adverts_of_one_life() -> None:
    fleet = Fleet()
    fleet.look({"w1": heard()}, NOW)
    fleet.look({"w1": heard(NOW + 2, counters=WorkerCounters(completion_tokens=100))}, NOW + 2)
    assert fleet.workers["w1"].tokens_per_second == 50.0
    fleet.look({"w1": heard(NOW + 4, epoch=2, counters=WorkerCounters(completion_tokens=5))}, NOW + 4)
    assert fleet.workers["w1"].tokens_per_second is None


def test_rates_are_of_what_happened_between_two_looks() -> None:
    meters = Meters()
    first = made_advert(counters=WorkerCounters(adapter_rows=10, slot_hits=5))
    assert meters.look(0.0, 100, [first]).hit_rate == 0.5
    then = made_advert(
        counters=WorkerCounters(adapter_rows=20, slot_hits=14, completion_tokens=30, slot_loads=2)
    )
    rates = meters.look(2.0, 110, [then])
    assert (rates.jobs_per_second, rates.tokens_per_second, rates.loads_per_second) == (5.0, 15.0, 1.0)
    assert rates.hit_rate == 0.9
    assert meters.look(4.0, 3, [then]).jobs_per_second is None, "the stream was made anew"
