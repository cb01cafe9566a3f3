"""Publish many messages to streams together, and hear what became of each.

`js.publish` takes a task, a timer and an inbox of random letters for each message. Here one inbox takes all
answers and one timer guards all messages that were sent together: a third of the CPU time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress

import nats.errors
from nats.aio.subscription import Subscription

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.time_limit import TimeLimit
from lorayard_shared.value import value

ANSWER_SECONDS = 5.0
"""An answer takes milliseconds; one that was lost with its server is asked for again by somebody else."""


@value
class Outgoing:
    """One message; `head` are its headers as `header_block` writes them."""

    subject: str
    body: bytes
    head: bytes


class _Group:
    """Messages sent together, and their answers."""

    __slots__ = ("answers", "complete", "left")

    def __init__(self, count: int) -> None:
        self.answers: list[Heard | None] = [None] * count
        self.left = count
        self.complete = asyncio.Event()

    def answer(self, index: int, answer: Heard) -> None:
        self.answers[index] = answer
        self.left -= 1
        if not self.left:
            self.complete.set()


class Publishes:
    """Safe to use from many tasks of one loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._inbox = bus.nc.new_inbox()
        self._prefix_length = len(self._inbox) + 1
        self._tokens = itertools.count()
        self._open: dict[str, tuple[_Group, int]] = {}
        self._answer_limit = TimeLimit(ANSWER_SECONDS)
        self._listening = False
        self._hearing: Subscription | None = None

    async def close(self) -> None:
        """Hear no answers any more; one that lives as long as its connection need not."""
        hearing, self._hearing, self._listening = self._hearing, None, False
        if hearing is not None and not self._bus.nc.is_closed:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()

    async def send(self, messages: Sequence[Outgoing]) -> list[Heard | None]:
        """The stream's answer to each, in their order; None where none came in time.

        Raises:
            nats.errors.Error: the connection takes no message now.
        """
        if not messages:
            return []
        await self._listen()
        group = _Group(len(messages))
        tokens: list[str] = []
        try:
            for index in range(len(messages)):
                token = str(next(self._tokens))
                tokens.append(token)
                self._open[token] = (group, index)
            self._bus.nc.post_all(
                (message.subject, f"{self._inbox}.{token}", message.head, message.body)
                for message, token in zip(messages, tokens, strict=True)
            )
            with suppress(TimeoutError):
                async with self._answer_limit.wait():
                    await group.complete.wait()
        finally:
            for token in tokens:
                self._open.pop(token, None)
        return group.answers

    async def _listen(self) -> None:
        if self._listening:
            return
        self._listening = True  # what is sent meanwhile goes out behind the subscription
        try:
            self._hearing = await self._bus.nc.hear(f"{self._inbox}.*", self._take)
        except BaseException:
            self._listening = False
            raise

    def _take(self, answer: Heard) -> None:
        found = self._open.pop(answer.subject[self._prefix_length :], None)
        if found is not None:
            group, index = found
            group.answer(index, answer)
