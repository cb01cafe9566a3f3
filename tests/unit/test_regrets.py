"""Evictions of what was just used, or is wanted again at once, are counted (F2)."""

from __future__ import annotations

from lorayard_workers.memory.regrets import MOST_REMEMBERED, SOON_SECONDS, Regrets
from lorayard_workers.memory.slots import DeviceSlots


def test_an_adapter_that_comes_back_soon_is_regretted() -> None:
    slots = DeviceSlots(count=1, max_rank=8)
    slots.place("a", 8, now=100.0)
    slots.place("b", 8, now=200.0)
    assert (slots.regrets.in_use_lately, slots.regrets.wanted_again) == (0, 0)
    slots.place("a", 8, now=200.0 + SOON_SECONDS / 2)
    assert (slots.regrets.in_use_lately, slots.regrets.wanted_again) == (1, 1)


def test_one_that_comes_back_later_is_not() -> None:
    regrets = Regrets()
    regrets.evicted("a", last_used=0.0, now=100.0)
    regrets.placed("a", 100.0 + SOON_SECONDS)
    assert (regrets.in_use_lately, regrets.wanted_again) == (0, 0)


def test_a_clock_that_steps_back_regrets_nothing() -> None:
    regrets = Regrets()
    regrets.evicted("a", last_used=200.0, now=100.0)
    regrets.placed("a", 50.0)
    assert (regrets.in_use_lately, regrets.wanted_again) == (0, 0)


def test_what_left_is_remembered_in_bounds() -> None:
    regrets = Regrets()
    for number in range(MOST_REMEMBERED + 1):
        regrets.evicted(str(number), last_used=0.0, now=100.0)
    regrets.placed("0", 100.0)
    assert regrets.wanted_again == 0, "the first was forgotten"
    regrets.placed("1", 100.0)
    assert regrets.wanted_again == 1
