"""A job that names what nobody here has heard of is refused only once all that is written has been heard.

Watches come after writes: who activates a version, or makes an alias, and names it at once would now and then
be told that it does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Protocol

import nats.errors
import nats.js.errors
import structlog

from lorayard_shared.logs import Event

GAP_SECONDS = 0.25
"""Between two looks, each a request to every bucket: a flood of misspelt names costs no more than that."""

CAUGHT_UP_SECONDS = 2.0
"""A bus that is slower than this has lost more than a job that was asked for a moment too soon."""

Spawn = Callable[[Coroutine[object, object, object], str], None]


class Watch(Protocol):
    """Of a bucket."""

    async def catch_up(self) -> None:
        """Wait until all has been heard that the bucket holds by now."""
        ...


class LateNews:
    """Looks once for all jobs that wait for it; those that come meanwhile wait for the next look."""

    def __init__(self, *, spawn: Spawn, retry: Callable[[Iterable[str]], None]) -> None:
        """`retry` looks at jobs anew, by their keys, before it returns."""
        self.watches: Collection[Watch] = ()
        """Without any a refusal waits for nothing."""
        self._spawn = spawn
        self._retry = retry
        self._waiting: set[str] = set()
        self._looked: frozenset[str] = frozenset()
        self._looking = False
        self._log = structlog.get_logger()

    def may_come(self, key: str) -> bool:
        """Whether the job is to be kept: it will be tried again after the look."""
        if not self.watches or key in self._looked:
            return False
        self._waiting.add(key)
        if not self._looking:
            self._looking = True
            self._spawn(self._look(), "late-news")
        return True

    async def _look(self) -> None:
        try:
            while self._waiting:
                looked, self._waiting = frozenset(self._waiting), set()
                await self.catch_up()
                self._looked = looked
                self._retry(looked)
                self._looked = frozenset()
                await asyncio.sleep(GAP_SECONDS)
        finally:
            self._looking = False

    async def catch_up(self) -> None:
        """Wait until all is heard that is written by now, or for as long as that is worth."""
        try:
            async with asyncio.timeout(CAUGHT_UP_SECONDS):
                for watch in self.watches:
                    await watch.catch_up()
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            # What is known has to do.
            self._log.warning(Event.BUS_FAILED, waited_for="news", error=str(error) or type(error).__name__)
        except Exception:  # noqa: BLE001  # nobody else calls for these jobs: they must not wait for ever
            self._log.exception(Event.LOOP_FAILED, what="news")
