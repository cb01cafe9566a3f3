"""Evictions that look wrong: of what was just in use, or was wanted again at once."""

from __future__ import annotations

from dataclasses import dataclass, field

SOON_SECONDS = 10.0
"""A reload within this time would have been spared by another victim."""
MOST_REMEMBERED = 1024


@dataclass(slots=True)
class Regrets:
    """Counts since the start, and what left lately."""

    in_use_lately: int = 0
    """Left within `SOON_SECONDS` of their last use."""
    wanted_again: int = 0
    """Came back within `SOON_SECONDS`."""
    _left: dict[str, float] = field(default_factory=dict[str, float])

    def evicted(self, digest: str, *, last_used: float, now: float) -> None:
        """An adapter made way for another (unix seconds)."""
        self.in_use_lately += 0 <= now - last_used < SOON_SECONDS
        self._left.pop(digest, None)
        self._left[digest] = now
        if len(self._left) > MOST_REMEMBERED:
            del self._left[next(iter(self._left))]

    def placed(self, digest: str, now: float) -> None:
        """An adapter got a slot."""
        left = self._left.pop(digest, None)
        self.wanted_again += left is not None and 0 <= now - left < SOON_SECONDS
