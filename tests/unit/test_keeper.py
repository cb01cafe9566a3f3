"""Orders that put adapters where they shall be (B7, B8): few, repeated with patience, no flapping."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorayard_dispatcher.planning.amends import Order
from lorayard_dispatcher.planning.keeper import (
    AGAIN_SECONDS,
    MOST_AGAIN_SECONDS,
    MOST_MERGES,
    MOST_OPEN,
    QUIET_SECONDS,
    UNFIT_SECONDS,
    Keeper,
)
from lorayard_dispatcher.planning.placement import Site, Wish
from lorayard_dispatcher.planning.tiers import IDLE_SECONDS, WORTH_SECONDS
from lorayard_schemas.order import OrderVerb
from lorayard_schemas.placement import AdapterTier


class Yard:
    """Workers that follow orders at once, unless told otherwise, and a keeper that looks once a second."""

    def __init__(self, workers: int = 3, *, infers: bool = True, rows: int = 10) -> None:
        self.keeper = Keeper(infers=infers)
        self.sites = {
            f"w{number}": Site(worker=f"w{number}", slots=4, rows=rows) for number in range(1, workers + 1)
        }
        self.wishes: list[Wish] = []
        self.demand: dict[str, float] = {}
        self.follows = True
        self.now = 0.0
        self.sent: list[Order] = []

    def run(self, seconds: float = 1.0, *, step: float = 1.0) -> list[Order]:
        """What is ordered in that time."""
        sent: list[Order] = []
        until = self.now + seconds
        while self.now < until:
            self.keeper.look(
                self.now, sites=self.sites.values(), wishes=self.wishes, demand=self.demand, base_of={}
            )
            orders = self.keeper.orders(self.now)
            for order in orders if self.follows else ():
                self.sites[order.worker] = followed(self.sites[order.worker], order)
            sent += orders
            self.now += step
        self.sent += sent
        return sent

    def where(self, digest: str) -> set[str]:
        """Workers that have it and serve it."""
        return {
            site.worker
            for site in self.sites.values()
            if site.has(digest) and site.dedicated in (None, digest)
        }

    def merged(self) -> dict[str, str]:
        return {site.worker: site.dedicated for site in self.sites.values() if site.dedicated is not None}


def followed(site: Site, order: Order) -> Site:
    one = frozenset({order.digest})
    match order.verb:
        case OrderVerb.LOAD | OrderVerb.PREFETCH:
            return replace(site, resident=site.resident | one, host=site.host | one)
        case OrderVerb.PIN:
            return replace(site, resident=site.resident | one, pinned=site.pinned | one)
        case OrderVerb.UNPIN:
            return replace(site, pinned=site.pinned - one)
        case OrderVerb.UNLOAD:
            return replace(site, resident=site.resident - one, host=site.host - one, pinned=site.pinned - one)
        case OrderVerb.DEDICATE:
            return replace(site, dedicated=order.digest, resident=frozenset(), pinned=frozenset())
        case OrderVerb.UNDEDICATE:
            return replace(site, dedicated=None)


def verbs(orders: Iterable[Order]) -> list[tuple[str, str]]:
    return [(order.worker, order.verb.value) for order in orders]


def test_replicas_are_loaded_once_and_move_when_a_worker_dies__b7() -> None:
    yard = Yard()
    yard.wishes = [Wish(digest="a", least=2)]
    assert [order.verb for order in yard.run(30)] == [OrderVerb.LOAD] * 2
    first = yard.where("a")
    del yard.sites[min(first)]
    (order,) = yard.run(30)
    assert (order.worker, order.verb) == (({"w1", "w2", "w3"} - first).pop(), OrderVerb.LOAD)


def test_a_copy_that_is_evicted_is_loaded_again_but_in_longer_and_longer_pauses__b7() -> None:
    yard = Yard(1)
    yard.wishes = [Wish(digest="a", least=1)]
    yard.follows = False
    times = [yard.now - 1 for _ in range(1000) if yard.run(1)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:4] == [AGAIN_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses[-1] == MOST_AGAIN_SECONDS
    yard.sites["w1"] = replace(yard.sites["w1"], epoch=1)
    assert len(yard.run(1)) == 1, "another life of the worker is asked at once"


def test_of_many_a_worker_is_asked_for_a_few_at_a_time__b7() -> None:
    yard = Yard(1)
    yard.wishes = [Wish(digest=f"d{number:02}", least=1) for number in range(3 * MOST_OPEN)]
    yard.follows = False
    assert len(yard.run(1)) == MOST_OPEN
    assert len(yard.run(AGAIN_SECONDS - 1)) == 0


def test_surplus_and_misplaced_copies_are_unloaded_and_others_left_alone__b7() -> None:
    yard = Yard()
    everywhere = frozenset({"a", "b"})
    yard.sites = {name: replace(site, resident=everywhere) for name, site in yard.sites.items()}
    yard.wishes = [Wish(digest="a", most=1)]
    orders = yard.run(5)
    assert [(order.verb, order.digest) for order in orders] == [(OrderVerb.UNLOAD, "a")] * 2
    assert len(yard.where("a")) == 1
    yard.wishes = [Wish(digest="a", on=frozenset({"w3"}))]
    yard.run(5)
    assert yard.where("a") <= {"w3"}
    assert yard.where("b") == {"w1", "w2", "w3"}


def test_pins_are_set_and_let_go__b7() -> None:
    yard = Yard()
    yard.wishes = [Wish(digest="a", pin=True, least=2)]
    assert {verb for _, verb in verbs(yard.run(5))} == {"pin"}
    assert yard.run(60) == []
    yard.wishes = [Wish(digest="a")]
    assert {verb for _, verb in verbs(yard.run(5))} == {"unpin"}
    assert yard.run(60) == []


def test_pins_of_what_was_never_declared_are_somebody_elses__b7() -> None:
    yard = Yard(1)
    yard.sites["w1"] = replace(yard.sites["w1"], resident=frozenset({"x"}), pinned=frozenset({"x"}))
    assert yard.run(60) == []


def test_a_worker_without_room_for_a_pin_is_passed_over_for_a_while__b7() -> None:
    yard = Yard(2)
    yard.wishes = [Wish(digest="a", pin=True)]
    yard.follows = False
    (order,) = yard.run(1)
    yard.keeper.unfit(order, yard.now)
    (other,) = yard.run(1)
    assert other.worker != order.worker
    yard.follows = True
    yard.run(UNFIT_SECONDS - 2)
    yard.run(MOST_AGAIN_SECONDS)
    assert len(yard.where("a")) >= 1


def test_what_a_worker_answered_is_minded_while_it_says_why_something_is_amiss__b7() -> None:
    yard = Yard(1)
    yard.wishes = [Wish(digest="a", pin=True)]
    yard.follows = False
    (order,) = yard.run(1)
    assert yard.keeper.minds("w1", "a")
    yard.keeper.unfit(order, yard.now)
    assert yard.run(1) == []
    assert yard.keeper.minds("w1", "a"), "it is asked no more, and still why the pin is not there"
    assert not yard.keeper.minds("w2", "a")
    yard.run(UNFIT_SECONDS)
    yard.wishes = []
    yard.run(1)
    assert not yard.keeper.minds("w1", "a")


def test_what_is_on_demand_is_forgotten_when_nobody_has_asked_for_a_while__b8() -> None:
    yard = Yard(1)
    yard.sites["w1"] = replace(yard.sites["w1"], resident=frozenset({"a", "b"}), host=frozenset({"a"}))
    yard.wishes = [Wish(digest="a", tier=AdapterTier.ON_DEMAND)]
    yard.demand = {"a": 1.0}
    assert yard.run(2 * QUIET_SECONDS) == []
    yard.demand = {}
    assert yard.run(QUIET_SECONDS - 1) == []
    assert verbs(yard.run(3)) == [("w1", "unload")]
    assert yard.where("b") == {"w1"}


def test_a_declared_merge_takes_one_worker_and_gives_it_back__b8() -> None:
    yard = Yard()
    yard.wishes = [Wish(digest="a", tier=AdapterTier.MERGED)]
    (order,) = yard.run(120)
    assert yard.merged() == {order.worker: "a"}
    for name in [name for name in yard.sites if name != order.worker][:1]:
        del yard.sites[name]
    assert yard.run(30) == [], "one is left to the others"
    del yard.sites[next(name for name in yard.sites if name != order.worker)]
    assert [order.verb for order in yard.run(30)] == [OrderVerb.UNDEDICATE, OrderVerb.LOAD]
    yard = Yard()
    yard.wishes = [Wish(digest="a", tier=AdapterTier.MERGED)]
    yard.run(5)
    yard.wishes = [Wish(digest="a")]
    assert [order.verb for order in yard.run(5)] == [OrderVerb.UNDEDICATE]


def test_what_cannot_be_merged_is_tried_a_few_times_and_stays_shared__b8() -> None:
    yard = Yard(2)
    yard.follows = False
    yard.wishes = [Wish(digest="a", tier=AdapterTier.MERGED)]
    sent = yard.run(UNFIT_SECONDS)
    merges = Counter(order.worker for order in sent if order.verb is OrderVerb.DEDICATE)
    assert merges == {"w1": MOST_MERGES, "w2": MOST_MERGES}
    assert yard.keeper.targets["a"].short == 1
    assert sent[-1].verb is OrderVerb.LOAD, "it is at hand, at least"


def test_a_worker_that_its_settings_gave_to_an_adapter_keeps_it__b8() -> None:
    yard = Yard()
    yard.sites["w1"] = replace(yard.sites["w1"], dedicated="x", bound=True)
    yard.wishes = [Wish(digest="a", tier=AdapterTier.MERGED)]
    yard.run(60)
    assert yard.merged()["w1"] == "x"
    assert len(yard.merged()) == 2


def test_traffic_that_fills_a_worker_for_long_is_worth_one__b8() -> None:
    yard = Yard()
    yard.demand = {"a": 9.5, "b": 3.0, "": 2.0}
    assert yard.run(WORTH_SECONDS) == [], "not yet"
    (order,) = yard.run(60)
    assert (order.verb, order.digest) == (OrderVerb.DEDICATE, "a")
    yard.demand = {"a": 6.0, "b": 3.0}
    assert yard.run(600) == [], "between the two thresholds it stays"
    yard.demand = {"a": 4.0, "b": 3.0}
    assert yard.run(IDLE_SECONDS) == []
    assert verbs(yard.run(60)) == [(order.worker, "undedicate")]


def test_a_worker_of_its_own_by_settings_counts_and_is_nobody_elses_loss__b8() -> None:
    yard = Yard()
    yard.sites["w1"] = replace(yard.sites["w1"], dedicated="x", bound=True)
    yard.demand = {"x": 9.5, "y": 9.5}
    (order,) = yard.run(300)
    assert (order.verb, order.digest) == (OrderVerb.DEDICATE, "y")


def test_traffic_of_two_workers_is_worth_two_but_never_the_last__b8() -> None:
    yard = Yard(3)
    yard.demand = {"a": 100.0}
    yard.run(600)
    assert len(yard.merged()) == 2
    alone = Yard(1)
    alone.demand = {"a": 100.0}
    assert alone.run(600) == []


def test_nobody_gets_a_worker_that_the_others_need__b8() -> None:
    yard = Yard(2)
    yard.demand = {"a": 9.5, "b": 9.0}
    assert yard.run(600) == []
    yard.demand = {"a": 9.5, "b": 7.0}
    yard.run(300)
    assert len(yard.merged()) == 1
    yard.demand = {"a": 9.5, "b": 12.0}
    yard.run(300)
    assert yard.merged() == {}, "the others need it back"


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(0.0, 30.0), st.floats(0.0, 10.0))
def test_noise_makes_nobody_flap__b8(seed: int, mean: float, others: float) -> None:
    """Fifteen minutes of demand that jumps from nothing to twice its mean: two changes at most."""
    draw = random.Random(seed)
    yard = Yard(3)
    for _ in range(900):
        yard.demand = {"a": draw.uniform(0, 2 * mean), "b": draw.uniform(0, 2 * others)}
        yard.run(1)
    assert len(yard.sent) <= 2


def test_what_an_earlier_dispatcher_had_merged_stays_while_traffic_wants_it__b8() -> None:
    yard = Yard()
    yard.sites["w1"] = replace(yard.sites["w1"], dedicated="a")
    yard.demand = {"a": 6.0}
    assert yard.run(600) == []
    yard.demand = {}
    assert verbs(yard.run(600)) == [("w1", "undedicate")]


def test_without_inference_only_what_was_declared_is_touched__b8() -> None:
    yard = Yard(infers=False)
    yard.sites["w1"] = replace(yard.sites["w1"], dedicated="x")
    yard.demand = {"a": 100.0}
    assert yard.run(600) == []
    yard.wishes = [Wish(digest="x")]
    assert verbs(yard.run(5)) == [("w1", "undedicate")]


events = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(1, 6)),
        st.tuples(st.just("leave"), st.integers(1, 6)),
        st.tuples(st.just("demand"), st.integers(0, 40)),
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(events, st.integers(1, 3), st.booleans())
def test_after_any_joins_and_leaves_everything_comes_to_be_where_it_shall__b7_b8(
    happenings: list[tuple[str, int]], least: int, pin: bool
) -> None:
    yard = Yard(3)
    yard.wishes = [
        Wish(digest="a", least=least, most=3),
        Wish(digest="b", pin=pin, least=1),
        Wish(digest="c", tier=AdapterTier.MERGED),
    ]
    for what, number in happenings:
        name = f"w{number}"
        if what == "join":
            yard.sites.setdefault(name, Site(worker=name, slots=4, rows=10, epoch=int(yard.now)))
        elif what == "leave":
            yard.sites.pop(name, None)
        else:
            yard.demand = {"hot": float(number)}
        yard.run(30)
    yard.demand = {}
    yard.run(2 * MOST_AGAIN_SECONDS + 4 * IDLE_SECONDS, step=5.0)
    assert yard.run(60) == [], "it has settled"
    shared = [site for site in yard.sites.values() if site.dedicated is None]
    assert len(yard.merged()) == min(1, max(0, len(yard.sites) - 1))
    assert len(shared) >= min(1, len(yard.sites))
    assert min(least, len(shared)) <= len(yard.where("a")) <= 3
    assert len(yard.where("b")) >= min(1, len(shared))
    assert_pins(yard.sites, pinned={"b"} if pin else set())


def assert_pins(sites: Mapping[str, Site], *, pinned: set[str]) -> None:
    assert {digest for site in sites.values() for digest in site.pinned} == (pinned if sites else set())


@pytest.mark.parametrize("infers", [True, False])
def test_nothing_is_asked_of_a_yard_of_which_nothing_was_declared(infers: bool) -> None:
    yard = Yard(infers=infers)
    yard.sites = {
        name: replace(site, resident=frozenset("abc"), host=frozenset("de"))
        for name, site in yard.sites.items()
    }
    yard.demand = dict.fromkeys("abcde", 1.0)
    assert yard.run(600) == []
