"""Records in the order of their documents, though they come in the order in which they are done."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorayard.summarize.errors import OutputError
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import Placed


class Spool:
    """A file without a name: a million records take some megabytes of memory."""

    def __init__(self, folder: Path) -> None:
        """In this folder, as what is to be written will be: a full disk shows early.

        Raises:
            OutputError: it cannot be written.
        """
        self._folder = folder
        self._places: dict[int, tuple[int, int]] = {}
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed with the spool
        except OSError as error:
            raise OutputError(folder, error.strerror or str(error)) from error

    def add(self, placed: Placed) -> None:
        """One more.

        Raises:
            OutputError: the disk is full.
        """
        data = placed.record.to_ascii().encode()
        try:
            start = self._file.seek(0, 2)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise OutputError(self._folder, error.strerror or str(error)) from error
        self._places[placed.place] = start, len(data)

    def records(self) -> Iterator[DocumentRecord]:
        """In the order of the documents."""
        for place in sorted(self._places):
            start, length = self._places[place]
            self._file.seek(start)
            fields: dict[str, Any] = json.loads(self._file.read(length))
            fields["key_points"] = tuple(fields["key_points"])
            yield DocumentRecord(**fields)

    def close(self) -> None:
        """Forget it all."""
        with suppress(OSError):  # of a full disk, which does not take what is left in the buffer either
            self._file.close()
