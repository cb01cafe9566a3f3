"""A markdown file for each document, in a tree like theirs, written as documents are done."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Self

from lorayard.summarize.errors import OutputError
from lorayard.summarize.output.markdown import FileNames, page
from lorayard.summarize.output.places import held, replacing
from lorayard.summarize.run import Placed
from lorayard.summarize.tally import Tally


class MarkdownFolder:
    """Names hang on the order of the documents, not on when they are done."""

    def __init__(self, place: Path, names: dict[int, PurePath]) -> None:
        """`names` by the place of each source."""
        self._place, self._names = place, names
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Hold the folder, and make it. Raises OutputError, OutputInUseError."""
        with ExitStack() as stack:
            stack.enter_context(held(self._place))
            try:
                self._place.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self._place) as probe:
                    probe.write(b"x")
            except OSError as error:
                raise OutputError(self._place, error.strerror or str(error)) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self._stack.close()

    def add(self, placed: Placed) -> None:
        """Write its file. Raises OutputError."""
        place = self._place / self._names[placed.place]
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(place.parent, error.strerror or str(error)) from error
        with replacing(place) as file:
            file.write(page(placed.record))

    def finish(self, tally: Tally) -> None:
        """All is written."""


def names_of(sources: Sequence[str]) -> dict[int, PurePath]:
    """A file's name for each document, by its place."""
    names = FileNames()
    return {place: names.name(source) for place, source in enumerate(sources)}
