"""One file with all records: JSON lines, or a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lorayard.summarize.output.places import held, replacing
from lorayard.summarize.output.spool import Spool
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import Placed
from lorayard.summarize.tally import Tally

Write = Callable[[Iterator[DocumentRecord], Tally], Iterator[str]]
"""The file's text, in pieces."""


class WholeFile:
    """Appears when the run is over, in the order of the documents; until then what was there stays."""

    def __init__(self, place: Path, write: Write) -> None:
        self._place, self._write = place, write
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Hold the place, and see that it can be written. Raises OutputError, OutputInUseError."""
        with ExitStack() as stack:
            stack.enter_context(held(self._place))
            self._spool = Spool(self._place.parent)
            stack.callback(self._spool.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self._stack.close()

    def add(self, placed: Placed) -> None:
        """Keep it until the end. Raises OutputError."""
        self._spool.add(placed)

    def finish(self, tally: Tally) -> None:
        """Write the file. Raises OutputError."""
        with replacing(self._place) as file:
            file.writelines(self._write(self._spool.records(), tally))


def as_lines(records: Iterator[DocumentRecord], tally: Tally) -> Iterator[str]:
    """One JSON object on each line."""
    del tally
    for record in records:
        yield record.to_json() + "\n"
