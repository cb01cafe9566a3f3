"""The yardstick of grouping: the loads of the same jobs given out in turn."""

from __future__ import annotations

from lorayard_dispatcher.arrival_order import ArrivalOrder


def loads(groups: str, workers: list[tuple[str, int]]) -> int:
    order = ArrivalOrder()
    for group in groups:
        order.see(group.strip(), workers)
    return order.loads


def test_every_adapter_costs_one_load_where_it_fits() -> None:
    assert loads("ababab", [("w", 2)]) == 2


def test_one_slot_for_two_adapters_costs_a_load_each_time() -> None:
    assert loads("ababab", [("w", 1)]) == 6


def test_the_least_recently_used_goes() -> None:
    assert loads("abacab", [("w", 2)]) == 4


def test_jobs_are_given_out_in_turn() -> None:
    """Each of two workers sees every second job."""
    assert loads("aabb", [("v", 1), ("w", 1)]) == 4


def test_the_base_model_costs_nothing_but_its_turn() -> None:
    assert loads("a a ", [("v", 1), ("w", 1)]) == 1


def test_nothing_is_counted_while_nobody_is_there() -> None:
    assert loads("abc", []) == 0
    assert loads("abc", [("w", 0)]) == 0
