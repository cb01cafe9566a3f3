"""Signs of life of one thread: since when it has been at the piece of work in hand."""

from __future__ import annotations

import math
import time


class Pulse:
    """Written by one thread, read by any: each field is replaced whole.

    A piece is what must end soon whatever the load: one step, one tensor, one prompt.
    """

    def __init__(self, name: str) -> None:
        """Of the thread, for people."""
        self.name = name
        self.longest_seconds = 0.0
        """The longest piece that has ended."""
        self._piece: tuple[str, float] | None = None
        self._not_before = -math.inf

    def mark(self, piece: str) -> None:
        """A piece begins; the one before it has ended."""
        self._end()
        self._piece = (piece, time.monotonic())

    def rest(self) -> None:
        """Nothing is to be done."""
        self._end()
        self._piece = None

    def in_hand(self, now: float) -> tuple[str, float] | None:
        """The piece in hand and its seconds at `now` (monotonic); None at rest."""
        piece = self._piece
        return None if piece is None else (piece[0], now - max(piece[1], self._not_before))

    def begin_anew(self, now: float, *, longest_seconds: float) -> None:
        """Called by who watches, after the process stood still: the piece in hand counts from here on, and
        one that ended meanwhile was no longer than any before."""
        self._not_before = now
        self.longest_seconds = longest_seconds

    def _end(self) -> None:
        if self._piece is not None:
            seconds = time.monotonic() - max(self._piece[1], self._not_before)
            self.longest_seconds = max(self.longest_seconds, seconds)
