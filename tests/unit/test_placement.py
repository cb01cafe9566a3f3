"""Where adapters shall be (B7, B8): targets hold whoever comes and goes, and only what must move moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_dispatcher.planning.blind import plan_blind
from lorayard_dispatcher.planning.declaring import refusal, warnings
from lorayard_dispatcher.planning.placement import Site, Target, Wish, barred, place
from lorayard_dispatcher.planning.planner import plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_dispatcher.planning.values import Plan, Resident, WaitingJob, WorkerView
from lorayard_schemas.placement import AdapterTier

MERGED, SHARED, ON_DEMAND = AdapterTier.MERGED, AdapterTier.SHARED, AdapterTier.ON_DEMAND


def sites(count: int, **given: object) -> list[Site]:
    return [replace(Site(worker=f"w{number}", slots=8), **given) for number in range(1, count + 1)]  # type: ignore[arg-type]  # fields of Site


def one(fleet: list[Site], wish: Wish, *others: Wish) -> Target:
    return place(fleet, [wish, *others])[wish.digest]


fleets = st.sets(st.integers(0, 30), min_size=1, max_size=10).map(
    lambda numbers: [Site(worker=f"w{number}", slots=4) for number in sorted(numbers)]
)
plain_wishes = st.dictionaries(
    st.sampled_from("abcdefghijkl"), st.tuples(st.integers(0, 4), st.booleans()), max_size=8
).map(
    lambda found: [
        Wish(digest=digest, least=least, most=least + 1 if limited else None)
        for digest, (least, limited) in found.items()
    ]
)


@given(fleets, plain_wishes)
def test_every_replica_that_the_fleet_can_have_is_placed_and_no_more__b7(
    fleet: list[Site], wishes: list[Wish]
) -> None:
    for wish in wishes:
        target = place(fleet, wishes)[wish.digest]
        assert len(set(target.replicas)) == min(wish.least, len(fleet))
        assert target.short == max(0, wish.least - len(fleet))
        if wish.most is not None:
            assert target.allowed is not None
            assert set(target.replicas) <= target.allowed
            assert len(target.allowed) == min(wish.most, len(fleet))


@given(fleets, plain_wishes, st.data())
def test_a_worker_that_leaves_moves_only_what_it_had__b7(
    fleet: list[Site], wishes: list[Wish], data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(fleet))
    before, after = place(fleet, wishes), place([site for site in fleet if site != gone], wishes)
    for wish in wishes:
        had, has = set(before[wish.digest].replicas), set(after[wish.digest].replicas)
        assert had - {gone.worker} <= has, "and, read the other way, one that joins takes one place at most"
        assert len(has - had) <= int(gone.worker in had)


@given(fleets, plain_wishes, st.randoms())
def test_the_order_of_what_is_told_does_not_matter(
    fleet: list[Site], wishes: list[Wish], random: object
) -> None:
    assert place(list(reversed(fleet)), list(reversed(wishes))) == place(fleet, wishes)


@given(st.lists(fleets, min_size=1, max_size=6), plain_wishes)
def test_what_is_remembered_of_earlier_fleets_changes_nothing(
    history: list[list[Site]], wishes: list[Wish]
) -> None:
    rankings = Rankings()
    for number, fleet in enumerate(history):
        some = wishes[number % 2 :]
        assert place(fleet, some, rankings) == place(fleet, some)


pinned_wishes = st.lists(st.integers(1, 3), max_size=12).map(
    lambda leasts: [Wish(digest=f"d{number}", pin=True, least=least) for number, least in enumerate(leasts)]
)


@given(fleets, pinned_wishes)
def test_pins_leave_a_slot_of_every_worker_to_others_and_the_rest_is_short__b7(
    fleet: list[Site], wishes: list[Wish]
) -> None:
    targets = place(fleet, wishes)
    for site in fleet:
        assert sum(site.worker in target.replicas for target in targets.values()) <= site.slots - 1
    for wish in wishes:
        assert len(targets[wish.digest].replicas) + targets[wish.digest].short == wish.least


merged_wishes = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4).map(
    lambda found: [
        Wish(digest=f"d{number}", tier=MERGED, least=least)
        if declared
        else Wish(digest=f"d{number}", inferred=least)
        for number, (least, declared) in enumerate(found)
    ]
)


@given(fleets, merged_wishes)
def test_one_worker_is_always_left_to_everybody_else__b8(fleet: list[Site], wishes: list[Wish]) -> None:
    targets = place(fleet, wishes)
    taken = [worker for target in targets.values() for worker in target.merged]
    assert len(taken) == len(set(taken))
    assert len(taken) == min(len(fleet) - 1, sum(wish.merged for wish in wishes))


@given(fleets, merged_wishes, st.data())
@settings(max_examples=200)
def test_who_is_merged_stays_where_it_is_when_others_come_and_go__b8(
    fleet: list[Site], wishes: list[Wish], data: st.DataObject
) -> None:
    def merge(now: list[Site]) -> tuple[dict[str, Target], list[Site]]:
        targets = place(now, wishes)
        alone = {worker: digest for digest, target in targets.items() for worker in target.merged}
        return targets, [replace(site, dedicated=alone.get(site.worker)) for site in now]

    before, standing = merge(fleet)
    joined, _ = merge([*standing, Site(worker="new", slots=4)])
    for wish in wishes:
        assert set(before[wish.digest].merged) <= set(joined[wish.digest].merged)
    gone = data.draw(st.sampled_from(standing))
    left, _ = merge([site for site in standing if site != gone])
    moved = [
        worker
        for wish in wishes
        for worker in set(before[wish.digest].merged) - set(left[wish.digest].merged) - {gone.worker}
    ]
    # The last shared one died, and one comes back; or one that was declared takes an inferred one's place.
    inferred = {wish.digest for wish in wishes if wish.tier is not MERGED}
    assert len(moved) <= int(gone.dedicated not in inferred)


def test_each_base_model_keeps_a_shared_worker_of_its_own__b8() -> None:
    fleet = [*sites(2, base_digest="x"), Site(worker="y1", base_digest="y", slots=8)]
    hot = [
        Wish(digest="a", base_digest="x", tier=MERGED, least=2),
        Wish(digest="b", base_digest="y", tier=MERGED),
    ]
    assert len(one(fleet, hot[0]).merged) == 1
    lonely = one(fleet, hot[1])
    assert (lonely.merged, lonely.replicas, lonely.short) == ((), ("y1",), 1), "at hand there, at least"


def test_placement_is_a_preference_unless_it_is_declared_to_be_more__b7() -> None:
    fleet = [*sites(2), Site(worker="w3", slots=8, marks=frozenset({"zone=a"}))]
    named = Wish(digest="a", least=1, on=frozenset({"zone=a"}))
    assert one(fleet, named).replicas == ("w3",)
    assert one(fleet, named).allowed == frozenset({"w3"})
    assert one(fleet, replace(named, on=frozenset({"w1", "w2"}), least=3)).allowed == frozenset({"w1", "w2"})
    assert one(fleet[:2], named).allowed == frozenset({"w1", "w2"}), "none of those lives"
    only = one(fleet[:2], replace(named, only=True))
    assert (only.allowed, only.short) == (frozenset(), 1)
    of_worker, strangers = barred(fleet, {"a": one(fleet, named)})
    assert of_worker == {"w1": {"a"}, "w2": {"a"}, "w3": frozenset()}
    assert strangers == {"a"}


def test_who_lacks_the_files_or_serves_another_alone_is_passed_over__b7() -> None:
    fleet = sites(4)
    fleet[0] = replace(fleet[0], lacks=frozenset({"a"}))
    fleet[1] = replace(fleet[1], dedicated="b", bound=True)
    target = one(fleet, Wish(digest="a", least=4))
    assert (set(target.replicas), target.short) == ({"w3", "w4"}, 2)
    assert one(fleet, Wish(digest="b", tier=MERGED)).merged == ("w2",), "it has one by that one's settings"


def test_columns_count_beside_slots_where_workers_tell_them__b7() -> None:
    fleet = sites(1, columns=64)
    wide = [Wish(digest=f"d{number}", pin=True, columns=32) for number in range(2)]
    assert sorted(target.short for target in place(fleet, wide).values()) == [0, 1]


@pytest.mark.parametrize("waited", [0.0, 100.0])
def test_a_planner_gives_nothing_to_a_worker_that_may_not_have_the_adapter__b7(waited: float) -> None:
    jobs = [
        WaitingJob(key=f"j{number}", group="a", tenant="t", priority=2, enqueued_at=1000.0 - waited)
        for number in range(4)
    ]
    barred_holder = WorkerView(
        worker="w1", room=8, rows=8, slots=4, resident={"a": Resident()}, barred=frozenset({"a"})
    )
    other = WorkerView(worker="w2", room=8, rows=8, slots=4)
    for planned in (plan, _plan_blind):
        assert planned(1000.0, jobs, [barred_holder], {}, {}, Policy()).decisions == ()
        found = planned(1000.0, jobs, [barred_holder, other], {}, {}, Policy()).decisions
        assert {decision.worker for decision in found} == {"w2"}


def _plan_blind(
    _now: float,
    jobs: list[WaitingJob],
    fleet: list[WorkerView],
    _served: object,
    _demand: object,
    policy: Policy,
) -> Plan:
    return plan_blind({("a", 2): jobs}, fleet, policy)


def wished(*wishes: Wish) -> dict[str, Wish]:
    return {wish.digest: wish for wish in wishes}


@pytest.mark.parametrize(
    ("wish", "field", "part"),
    [
        (Wish(digest="a", least=3, most=2), "replicas", "at least 3 and at most 2"),
        (Wish(digest="a", only=True), "only", "name the workers"),
        (Wish(digest="a", tier=MERGED, pin=True), "pin", "needs no slot"),
        (Wish(digest="a", tier=ON_DEMAND, least=1), "replicas", "on demand nothing is kept"),
        (Wish(digest="a", tier=ON_DEMAND, pin=True), "pin", "on demand nothing is kept"),
        (
            Wish(digest="a", tier=MERGED, least=2),
            "replicas",
            "2 workers for itself, and can have 1: 2 workers",
        ),
        (Wish(digest="a", tier=MERGED, on=frozenset({"w9"}), only=True), "tier", "0 that it may be on"),
        (Wish(digest="a", pin=True, least=3), "pin", "3 pinned replicas are wanted, and 2 can be held"),
    ],
)
def test_what_cannot_be_held_is_refused_by_field_with_the_numbers__b7(
    wish: Wish, field: str, part: str
) -> None:
    found = refusal("a", sites(2), {}, wished(wish))
    assert found is not None
    assert found.field == field
    assert part in found.reason
    assert "any more" not in found.reason, "it never could be"


def test_more_pinned_adapters_than_slots_are_refused__b7() -> None:
    pinned = [Wish(digest=f"d{number:02}", pin=True) for number in range(15)]
    fleet = sites(2)
    for count in range(1, 15):
        before, after = wished(*pinned[: count - 1]), wished(*pinned[:count])
        assert refusal(pinned[count - 1].digest, fleet, before, after) is None, count
    found = refusal("d14", fleet, wished(*pinned[:14]), wished(*pinned))
    assert found is not None
    assert found.reason.endswith("w1 holds 7 of 7, w2 holds 7 of 7")


def test_a_merge_that_would_take_the_slots_of_pins_is_refused__b8() -> None:
    pinned = [Wish(digest=f"d{number:02}", pin=True) for number in range(14)]
    hot = Wish(digest="hot", tier=MERGED)
    found = refusal("hot", sites(2), wished(*pinned), wished(*pinned, hot))
    assert found is not None
    assert (found.field, "could not be held any more" in found.reason) == ("tier", True)


def test_what_is_lost_already_is_no_reason_to_refuse_something_else__b7() -> None:
    lost = Wish(digest="a", pin=True, least=3)
    fine = Wish(digest="b", least=1)
    assert refusal("b", sites(2), wished(lost), wished(lost, fine)) is None


def test_what_may_come_to_be_is_a_warning__b7() -> None:
    fleet = sites(2)
    wish = Wish(digest="a", least=3, on=frozenset({"w1", "zone=a"}))
    assert refusal("a", fleet, {}, wished(wish)) is None
    assert warnings("a", fleet, wished(wish)) == [
        "no live worker is 'zone=a'; it counts once there is one",
        "3 replicas are wanted, and 1 can be had now",
    ]
    (told,) = warnings("a", [], wished(replace(wish, on=frozenset())))
    assert "no worker with its base model is alive" in told
    assert refusal("a", [], {}, wished(replace(wish, pin=True))) is None
