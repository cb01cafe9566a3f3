"""End a batch early: what the yard has answered is taken, and the rest is told to be asked no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from lorayard import Client, JobHandle
from lorayard.batch import BadLine
from lorayard.batch.sending import Again, Sent
from lorayard.batch.work import Work, keys_of
from lorayard.errors import LorayardError

AT_ONCE = 64
AGAIN_SECONDS = 1.0


class Remaining:
    """Sends nothing: the `sender` of a run that only gathers."""

    def __init__(self, yard: Client, batch: str, *, code: str, message: str) -> None:
        """`code` and `message` are for lines without an answer."""
        self._yard, self._batch = yard, batch
        self._code, self._message = code, message
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def look_for_unfinished(self) -> None:
        """They are waited for no more."""

    def forget(self, jobs: Iterable[str]) -> None:
        """Each is looked for anew."""

    async def groups_at_once(self) -> int:
        """The order does not matter."""
        return 1

    async def send(self, works: Sequence[Work]) -> list[Sent]:
        """The jobs of lines that have ended; a bad line for any other."""
        return await asyncio.gather(*(self._one(work) for work in works))

    async def _one(self, work: Work) -> Sent:
        line = work.line
        keys = keys_of(self._batch, line.custom_id, work.generations)
        handles = [self._yard.handle(self._yard.job_id(key)) for key in keys]
        try:
            async with self._limit:
                ended = await _all_ended(handles)
        except LorayardError as error:
            return Again(after_seconds=AGAIN_SECONDS, reason=str(error))
        if ended:
            return handles
        return BadLine(number=line.number, custom_id=line.custom_id, code=self._code, message=self._message)


async def _all_ended(handles: Sequence[JobHandle]) -> bool:
    for handle in handles:
        if not await handle.done():
            return False
    return True
