"""Workers and demand as placing sees them (B7, B8)."""

from __future__ import annotations

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.known_worker import SILENT_SECONDS
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WorkerView
from lorayard_dispatcher.sites import demand, site
from lorayard_schemas.advert import SlotAdvert, WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad

A, B, C = ("sha256:" + letter * 8 for letter in "abc")


def advert(worker: str = "w1", *, draining: bool = False, **given: object) -> WorkerAdvert:
    values: dict[str, object] = {
        "worker": worker,
        "epoch": 1,
        "sequence": 1,
        "at": 0.0,
        "engine": "E",
        "model": "m",
        "base_digest": "sha256:" + "0" * 8,
        "context_tokens": 1,
        "slot_count": 2,
        "rows_max": 4,
        "load": WorkerLoad(worker=worker, epoch=1, number=1, seen={}, room=4, holding=(), draining=draining),
        **given,
    }
    return WorkerAdvert.model_validate(values)


def test_demand_is_what_runs_and_what_waits_in_rows__b8() -> None:
    shared = WorkerView(worker="w1", room=1, in_flight=5, resident={A: Resident(jobs=3), B: Resident()})
    alone = WorkerView(worker="w2", room=1, in_flight=4, dedicated=C)
    queues = {(A, 1): [1, 2], (A, 3): [3], (B, 2): [4]}
    assert demand([shared, alone], queues) == {A: 6.0, B: 1.0, BASE_GROUP: 2.0, C: 4.0}
    assert demand([], {}) == {}


def test_a_site_is_what_the_worker_says_of_itself__b7() -> None:
    fleet = Fleet("d")
    slots = (SlotAdvert(digest=A, pinned=True), SlotAdvert(digest=B))
    fleet.on_advert(advert(slots=slots, host=(C,), labels={"zone": "a"}), 0.0)
    fleet.on_lacking("w1", C)
    (found,) = map(site, fleet.living(0.0))
    assert [set(held) for held in (found.resident, found.pinned, found.host)] == [{A, B}, {A}, {C}]
    assert [set(told) for told in (found.marks, found.lacks)] == [{"zone=a"}, {C}]
    assert (found.slots, found.rows) == (2, 4)
    assert found.dedicated is None
    fleet.on_advert(advert("w2", dedicated=A, bound=True), 0.0)
    assert [site(known).bound for known in fleet.living(0.0)] == [False, True]


def test_who_stops_or_is_silent_is_no_site_and_who_rests_is__b7() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert("w1", draining=True), 0.0)
    fleet.on_advert(advert("w2"), 0.0)
    fleet.on_unreachable("w2")
    assert [known.advert.worker for known in fleet.living(0.0)] == ["w2"]
    assert fleet.living(SILENT_SECONDS + 1) == ()


def test_a_worker_that_joins_may_not_have_what_is_placed_until_it_is_looked_at__b7() -> None:
    fleet = Fleet("d")
    fleet.on_advert(advert("w1"), 0.0)
    fleet.bar({"w1": frozenset()}, frozenset({A}))
    fleet.on_advert(advert("w2"), 0.0)
    assert {view.worker: view.barred for view in fleet.views(0.0, 0.0)} == {"w1": frozenset(), "w2": {A}}
    fleet.changed(0.0, 0.0)
    fleet.bar({"w1": frozenset(), "w2": frozenset()}, frozenset({A}))
    views, _ = fleet.changed(0.0, 0.0)
    assert [(view.worker, view.barred) for view in views] == [("w2", frozenset())], "and only what changed"
