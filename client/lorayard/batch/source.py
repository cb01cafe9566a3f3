"""The lines of the input that are still to be done, read as they are needed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lorayard.batch.errors import InputChangedError
from lorayard.batch.id_index import IdIndex
from lorayard.batch.line import BadLine, Line, read_line, repeated, too_long
from lorayard.batch.options import BatchOptions
from lorayard.batch.raw_lines import InputSurvey, RawLine, Stamp, raw_lines


class Source:
    """Reads the input once, from its beginning."""

    def __init__(self, path: Path, index: IdIndex, options: BatchOptions, survey: InputSurvey) -> None:
        """`survey` is what the file was when the batch was opened."""
        self._path = path
        self._survey = survey
        self._file = path.open("rb")
        self._digest = hashlib.sha256()
        self._lines = raw_lines(self._file, options.max_line_bytes, self._digest.update)
        self._index = index
        self._options = options
        self.ended = False
        self.lines = 0
        """That were read, blank ones not counted."""

    def block(self, count: int) -> list[Line | BadLine]:
        """The next ones that are not done, at most so many; of fewer, the input has ended.

        Raises:
            InputChangedError: it is not the file any more that was looked through.
        """
        if Stamp.of(self._file) != self._survey.stamp:
            raise InputChangedError(path=self._path)
        found: list[Line | BadLine] = []
        while len(found) < count:
            raw = next(self._lines, None)
            if raw is None:
                self.ended = True
                if self._digest.hexdigest() != self._survey.sha256:
                    raise InputChangedError(path=self._path)
                break
            line = self._read(raw)
            if line is not None:
                self.lines += 1
                if (new := self._new(line)) is not None:
                    found.append(new)
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, raw: RawLine) -> Line | BadLine | None:
        if raw.body is None:
            return too_long(raw.number, self._options.max_line_bytes)
        return read_line(raw.body, raw.number, lane=self._options.lane)

    def _new(self, line: Line | BadLine) -> Line | BadLine | None:
        if line.custom_id is not None:
            first = self._index.claim(line.custom_id, line.number)
            if not first:
                return line if first is None else None
            line = repeated(line, first)
        return None if self._index.is_settled(line.number) else line
