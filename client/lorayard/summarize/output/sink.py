"""What takes the records of a run."""

from __future__ import annotations

from typing import Protocol, Self, TextIO

from lorayard.summarize.run import Placed
from lorayard.summarize.tally import Tally


class Sink(Protocol):
    """Made before the work starts, so that a place that cannot be written shows at once."""

    def __enter__(self) -> Self:
        """Hold the place."""
        ...

    def __exit__(self, *_: object) -> None:
        """Let go of it; what is not finished leaves no half file behind."""
        ...

    def add(self, placed: Placed) -> None:
        """A document is done. Raises OutputError."""
        ...

    def finish(self, tally: Tally) -> None:
        """All are. Raises OutputError."""
        ...


class Lines:
    """JSON lines to a stream, as documents are done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        """There is nothing to hold."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nor to let go of."""

    def add(self, placed: Placed) -> None:
        """Write and flush: what is done stays done whatever comes next."""
        self._stream.write(placed.record.to_json() + "\n")
        self._stream.flush()

    def finish(self, tally: Tally) -> None:
        """All is written."""
