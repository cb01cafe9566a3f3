"""Thousands of adapters with jobs are judged in time: a dispatcher's loop stands still meanwhile."""

from __future__ import annotations

from collections import UserDict

from lorayard_dispatcher.planning.placement import Site
from lorayard_dispatcher.planning.tiers import Inference

MOST_LOOKUPS = 10
"""For each adapter."""


class Counting(UserDict[str, str]):
    """Base models of adapters; counts who asks."""

    lookups = 0

    def __getitem__(self, digest: str) -> str:
        self.lookups += 1
        return super().__getitem__(digest)


def test_what_a_look_costs_grows_with_the_adapters_and_no_faster__b8() -> None:
    adapters = [f"a{number}" for number in range(500)]
    inference, bases = Inference(), Counting(dict.fromkeys(adapters, "base"))
    sites = [Site(worker=f"w{number}", base_digest="base", rows=8) for number in range(64)]
    demand = dict.fromkeys(adapters, 1.0)
    for now in (0.0, 10.0, 20.0):
        inference.look(now, demand=demand, sites=sites, base_of=bases)
    assert 0 < bases.lookups <= 3 * MOST_LOOKUPS * len(adapters)
