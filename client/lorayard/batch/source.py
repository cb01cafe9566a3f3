"""The lines of the input that are still to be done, read as they are needed."""

from __future__ import annotations

from pathlib import Path

from lorayard.batch.id_index import IdIndex
from lorayard.batch.line import BadLine, Line, read_line, repeated, too_long
from lorayard.batch.options import BatchOptions
from lorayard.batch.raw_lines import RawLine, raw_lines


class Source:
    """Reads the input once, from its beginning."""

    def __init__(self, path: Path, index: IdIndex, options: BatchOptions) -> None:
        self._file = path.open("rb")
        self._lines = raw_lines(self._file, options.max_line_bytes)
        self._index = index
        self._options = options
        self.ended = False
        self.lines = 0
        """That were read, blank ones not counted."""

    def block(self, count: int) -> list[Line | BadLine]:
        """The next ones that are not done, at most so many; of fewer, the input has ended."""
        found: list[Line | BadLine] = []
        while len(found) < count:
            raw = next(self._lines, None)
            if raw is None:
                self.ended = True
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
