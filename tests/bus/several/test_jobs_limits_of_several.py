"""Limits that several dispatchers keep together: what one lets in, the others know soon (E5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from tests.bus.conftest import Process
from tests.bus.several.conftest import SeveralYard

from lorayard import Client
from lorayard_schemas.limit import LimitUse
from lorayard_schemas.result import JobResult
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

MakeSeveral = Callable[..., Awaitable[SeveralYard]]
Pair = tuple[SeveralYard, Client, Process]
NAMES = [f"acme/tiny/{letter}" for letter in "abcdef"]


@pytest.fixture
async def pair(make_several: MakeSeveral, tmp_path: Path) -> AsyncIterator[Pair]:
    """Two dispatchers, each active for one partition, and a worker with adapters of both."""
    for seed, name in enumerate(NAMES):
        make_tiny_adapter(tmp_path / "many" / name / "1", seed=seed, targets=("q_proj",))
    several = await make_several(partitions=2)
    for name in ("d1", "d2"):
        await several.yard.dispatcher(name)
    worker = await several.yard.worker("w1", adapters_dir=tmp_path / "many")
    await several.wait_until(lambda: several.seats.holders == {0: "d1", 1: "d2"})
    async with Client(settings=several.yard.settings, tenant="acme") as client:
        yield several, client, worker


async def one_of_each(several: SeveralYard) -> list[str]:
    """An adapter of either partition: whose it is, the one that takes its job says."""
    found: dict[str, str] = {}
    for name in NAMES:
        before = await _taken(several)
        await several.results(await several.publish(1, adapter=name))

        async def is_told(before: Mapping[str, int] = before) -> bool:
            """All who ask within a second are told the same."""
            return await _taken(several) != before

        await several.wait_until(is_told)
        after = await _taken(several)
        for one in [one for one in before if after[one] > before[one]]:
            found.setdefault(one, name)
    return [found["d1"], found["d2"]]


async def _taken(several: SeveralYard) -> dict[str, int]:
    """Jobs that each has taken, as far as it tells."""
    return {one: (await several.status(one)).taken for one in ("d1", "d2")}


async def both_know(several: SeveralYard, client: Client, fits: Callable[[LimitUse], bool]) -> None:
    seen: set[str] = set()

    async def known() -> bool:
        report = await client.limits.use()
        if report.limits and fits(report.limits[0].uses[0]):
            seen.add(report.dispatcher)
        return seen == {"d1", "d2"}

    await several.wait_until(known)


def let_in(found: list[JobResult]) -> int:
    return sum(one.error is None for one in found)


async def test_a_quota_is_exact_as_soon_as_both_know_what_the_other_let_in__e5(
    pair: Pair,
) -> None:
    several, client, _ = pair
    adapters = await one_of_each(several)
    await client.limits.set(tenant="acme", requests_per_day=4, reason="a trial account")
    await both_know(several, client, lambda use: use.value == 4)
    inside = 0
    for _ in range(4):
        jobs = [job for name in adapters for job in await several.publish(1, adapter=name)]
        inside += let_in(await several.results(jobs))
        used = inside
        await both_know(several, client, lambda use: use.used == used)  # noqa: B023  # called before the next
    assert inside == 4


async def test_what_two_let_in_at_once_beyond_a_rate_is_a_debt_of_both__e5(
    pair: Pair,
) -> None:
    """A burst to both at once: at most one bucket more than the limit, and then nobody gets anything."""
    several, client, _ = pair
    adapters = await one_of_each(several)
    await client.limits.set(tenant="acme", requests_per_minute=1, burst=5, reason="a trial account")
    await both_know(several, client, lambda use: use.value == 1)
    jobs = [job for name in adapters for job in await several.publish(8, adapter=name)]
    inside = let_in(await several.results(jobs))
    assert 5 <= inside <= 10
    await both_know(several, client, lambda use: use.used >= inside - 1)  # what came in meanwhile
    more = [job for name in adapters for job in await several.publish(1, adapter=name)]
    assert let_in(await several.results(more)) == 0


async def test_what_is_pending_at_one_counts_at_the_other__e5(pair: Pair) -> None:
    several, client, worker = pair
    adapters = await one_of_each(several)
    await worker.stop()  # nobody runs anything from here on
    await client.limits.set(tenant="acme", max_pending=3, reason="one batch at a time")
    await both_know(several, client, lambda use: use.value == 3)
    waiting = await several.publish(3, adapter=adapters[0])
    await both_know(several, client, lambda use: use.used == 3)
    refused = await several.results(await several.publish(2, adapter=adapters[1]))
    assert let_in(refused) == 0
    await several.yard.cancel(waiting[0])
    await both_know(several, client, lambda use: use.used == 2)
