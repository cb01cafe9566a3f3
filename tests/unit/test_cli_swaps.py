"""Swaps that plain arrival order would have cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_cli.demo.swaps import swaps_in_arrival_order


def test_an_adapter_that_stays_in_its_slot_is_loaded_once() -> None:
    assert swaps_in_arrival_order(["a"] * 5, workers=1, slots=1) == 1


def test_two_adapters_taking_turns_in_one_slot_are_loaded_every_time() -> None:
    assert swaps_in_arrival_order(["a", "b"] * 3, workers=1, slots=1) == 6


def test_two_slots_hold_both() -> None:
    assert swaps_in_arrival_order(["a", "b"] * 3, workers=1, slots=2) == 2


def test_the_least_recently_used_adapter_makes_room() -> None:
    # a is used again before c comes, so b goes and a stays.
    assert swaps_in_arrival_order(["a", "b", "a", "c", "a", "b"], workers=1, slots=2) == 4


def test_jobs_are_dealt_to_the_workers_in_turn() -> None:
    assert swaps_in_arrival_order(["a", "a", "a", "a"], workers=2, slots=1) == 2


def test_the_base_model_takes_its_turn_but_no_slot() -> None:
    assert swaps_in_arrival_order([None, "a", None, "a"], workers=2, slots=1) == 1


def test_no_slots_or_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        swaps_in_arrival_order([], workers=0, slots=1)


@given(st.lists(st.sampled_from(["a", "b", "c", None])), st.integers(1, 4), st.integers(1, 4))
def test_loads_lie_between_the_first_use_of_each_adapter_and_every_use(
    jobs: list[str | None], workers: int, slots: int
) -> None:
    adapters = [job for job in jobs if job is not None]
    assert len(set(adapters)) <= swaps_in_arrival_order(jobs, workers=workers, slots=slots) <= len(adapters)
