"""The fewest blows under which a plan still fails: delta debugging (Zeller and Hildebrandt, ddmin)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def minimize(items: Sequence[T], fails: Callable[[list[T]], Awaitable[bool]], *, tries: int) -> list[T]:
    """A part of what fails that fails too, and without any of whose parts it did not, while tries last.

    A run that depends on timing may fail once and not again: what is returned has failed.
    """
    left, parts = list(items), 2
    while len(left) > 1 and tries > 0:
        size = -(-len(left) // parts)
        pieces = [left[start : start + size] for start in range(0, len(left), size)]
        smaller = None
        for at in range(len(pieces)):
            rest = [item for other, piece in enumerate(pieces) if other != at for item in piece]
            for candidate in (pieces[at], rest) if parts == 2 else (rest,):
                if tries <= 0 or smaller is not None or not candidate or len(candidate) == len(left):
                    continue
                tries -= 1
                if await fails(candidate):
                    smaller = candidate
        if smaller is not None:
            left, parts = smaller, max(2, min(len(smaller), parts - 1))
        elif parts >= len(left):
            break
        else:
            parts = min(len(left), 2 * parts)
    return left
