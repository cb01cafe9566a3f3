"""`DeadLetters`, blocking."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar, Unpack

from lorayard.dead.letter import DeadQuery, Letter
from lorayard.dead.letter_page import LetterPage
from lorayard.dead.letters import DeadLetters
from lorayard.dead.redriving import Redriven
from lorayard.registry.calls import Calls

T = TypeVar("T")


class SyncDeadLetters:
    """The dead letters of one yard; every method raises as that of `DeadLetters` does."""

    def __init__(self, letters: DeadLetters, thread: Callable[[], Calls]) -> None:
        self._letters = letters
        self._thread = thread

    def list(self, **query: Unpack[DeadQuery]) -> list[Letter]:
        """The letters that a query means, the oldest first; no more than its `limit`, or 1,000."""
        return self._thread().call(self._letters.list(**query))

    def all(self, **query: Unpack[DeadQuery]) -> Iterator[Letter]:
        """The same, one after the other and however many."""
        return _each(self._thread(), self._letters.all(**query))

    def newest(
        self, *, before: int | None = None, known: LetterPage | None = None, **query: Unpack[DeadQuery]
    ) -> LetterPage:
        """The newest letters that a query means, and how many there are; see `DeadLetters.newest`."""
        return self._thread().call(self._letters.newest(before=before, known=known, **query))

    def show(self, letter: int | str) -> Letter:
        """One letter: by its number, or by the id of its job."""
        return self._thread().call(self._letters.show(letter))

    def redrive(self, letter: int | str, *, to_adapter: str | None = None) -> Redriven:
        """Try its job again under a new id; see `DeadLetters.redrive`."""
        return self._thread().call(self._letters.redrive(letter, to_adapter=to_adapter))

    def redrive_all(self, *, to_adapter: str | None = None, **query: Unpack[DeadQuery]) -> Iterator[Redriven]:
        """Redrive every letter that a query means; a report for each, as it is done."""
        return _each(self._thread(), self._letters.redrive_all(to_adapter=to_adapter, **query))

    def purge(self, letter: int | str) -> Letter:
        """Throw a letter away, for good; what it was."""
        return self._thread().call(self._letters.purge(letter))

    def purge_all(self, **query: Unpack[DeadQuery]) -> Iterator[Letter]:
        """Throw away every letter that a query means; each as it goes."""
        return _each(self._thread(), self._letters.purge_all(**query))


def _each(calls: Calls, found: AsyncGenerator[T]) -> Iterator[T]:
    try:
        while following := calls.call(_next(found)):
            yield from following
    finally:
        calls.call(_close(found))


async def _next(found: AsyncGenerator[T]) -> list[T]:
    """One more, or none."""
    try:
        return [await anext(found)]
    except StopAsyncIteration:
        return []


async def _close(found: AsyncGenerator[T]) -> None:
    await found.aclose()
