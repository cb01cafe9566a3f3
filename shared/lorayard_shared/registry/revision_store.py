"""What is in force in the bucket of rules: one value, changed as a whole, that can return to what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle, Chronicled
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.returning import S, find_earlier, signed


class RevisionStore(Generic[S]):
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(
        self,
        bus: Bus,
        message: type[S],
        *,
        key: str,
        none: S,
        says: Callable[[S], object],
        told: Callable[[S], str],
        label: str,
    ) -> None:
        """`none` is in force before the first; two values of which `says` is equal are the same one; `told`
        is for the audit record, and `label` says for people whose revisions they are."""
        self._chronicle: Chronicle[S] = Chronicle(bus, "rules", message, told=told)
        self._none: S = none
        self._says: Callable[[S], object] = says
        self._key, self._label = key, label

    async def past(self) -> tuple[S, ...]:
        """What was in force, the oldest first, and is."""
        return (await self._chronicle.read(self._key)).past

    async def change(self, wanted: S, author: Author, verb: str) -> S:
        """Put a value into force; the one that is in force changes nothing."""

        def changed(known: Chronicled[S]) -> S:
            if known.now is not None and self._says(known.now) == self._says(wanted):
                return known.now
            return signed(wanted, known.past, author, restores=None)

        return await self._change(changed, author, verb)

    async def roll_back(self, to: int | None, author: Author) -> S:
        """Return to a revision; None: to the one before, past returns.

        Raises:
            RuleRevisionError: there is none.
        """

        def changed(known: Chronicled[S]) -> S:
            target = find_earlier(known.past, to, has=self._label)
            return signed(target, known.past, author, restores=target.restores or target.revision)

        return await self._change(changed, author, "rollback")

    async def take_back(self, made: S, author: Author) -> None:
        """Put what was before in force again, unless somebody has changed it since."""

        def changed(known: Chronicled[S]) -> S:
            if known.now != made:
                return known.past[-1]
            if len(known.past) == 1:
                return signed(self._none, known.past, author, restores=None)
            before = known.past[-2]
            return signed(before, known.past, author, restores=before.restores or before.revision)

        await self._change(changed, author, "undo")

    async def _change(self, changed: Callable[[Chronicled[S]], S], author: Author, verb: str) -> S:
        made = await self._chronicle.change(self._key, changed, author, verb=verb, label=self._key)
        assert made is not None, "nothing is taken away"
        return made
