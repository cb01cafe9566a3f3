"""Nobody is refused for what is written already, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field

import nats.errors
import pytest

from lorayard_shared.bus.late_news import LateNews


@dataclass
class Slow:
    """A watch that hears what is left when it is told to."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0
    fails: Exception | None = None

    async def catch_up(self) -> None:
        self.looks += 1
        if self.fails is not None:
            raise self.fails
        await self.heard.wait()


@dataclass
class Desk:
    """Whoever keeps jobs and refuses them."""

    watch: Slow
    news: LateNews = field(init=False)
    tasks: list[asyncio.Task[object]] = field(default_factory=list[asyncio.Task[object]])
    refused: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.news = LateNews(spawn=self.spawn, retry=self.retry)
        self.news.watches = (self.watch,)

    def spawn(self, work: Coroutine[object, object, object], name: str) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    def take(self, key: str) -> None:
        """It names what nobody knows."""
        if not self.news.may_come(key):
            self.refused.append(key)

    def retry(self, keys: Iterable[str]) -> None:
        for key in sorted(keys):
            self.take(key)

    async def settle(self) -> None:
        await asyncio.gather(*self.tasks)


def desk(*, fails: Exception | None = None) -> Desk:
    return Desk(Slow(fails=fails))


async def test_a_job_is_refused_when_all_is_heard_and_not_before() -> None:
    one = desk()
    one.take("a")
    one.take("b")
    await asyncio.sleep(0)
    assert (one.refused, one.watch.looks) == ([], 1)
    one.watch.heard.set()
    await one.settle()
    assert (one.refused, one.watch.looks) == (["a", "b"], 1), "one look for both"


async def test_a_job_that_comes_during_a_look_waits_for_another() -> None:
    one = desk()
    one.take("a")
    await asyncio.sleep(0)
    one.take("b")  # may name what was written after the look began
    one.watch.heard.set()
    await one.settle()
    assert (one.refused, one.watch.looks) == (["a", "b"], 2)


async def test_a_job_that_comes_again_is_looked_for_again() -> None:
    one = desk()
    one.watch.heard.set()
    one.take("a")
    await one.settle()
    one.take("a")
    await one.settle()
    assert (one.refused, one.watch.looks) == (["a", "a"], 2)


@pytest.mark.parametrize("error", [nats.errors.TimeoutError(), ValueError("nobody expected this")])
async def test_a_look_that_fails_keeps_nobody_waiting(error: Exception) -> None:
    one = desk(fails=error)
    one.take("a")
    await one.settle()
    assert one.refused == ["a"]


def test_without_anything_to_hear_a_refusal_waits_for_nothing() -> None:
    one = desk()
    one.news.watches = ()
    one.take("a")
    assert one.refused == ["a"]
