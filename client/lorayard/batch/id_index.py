"""Which custom_ids a batch has seen, and which it is done with: on disk, so a million takes no memory.

It is made anew from the files at each start: what they say counts, so nothing here has to survive.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lorayard.batch.errors import OutputWriteError

CACHE_KIB = 16 * 1024
"""A million ids take about 30 MB on disk."""

_NOT_READ = 0
"""The line of an id that stands in an output, before the input was read so far."""


class IdIndex:
    """Ids by a digest of 128 bits: no two of any batch meet. Every method raises OutputWriteError where the
    disk takes no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._disk():
            path.unlink(missing_ok=True)
            # One thread at a time, not always the same one.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.execute(
                "CREATE TABLE ids (digest BLOB PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID"
            )
            self._db.execute("BEGIN")  # never committed: it is thrown away

    def settle(self, custom_id: str | None, number: int = 0) -> bool:
        """An output has this id, or (None) tells of this line; False: it has it twice."""
        with self._disk():
            found = self._db.execute(
                "INSERT OR IGNORE INTO ids VALUES (?, ?)", (_digest(custom_id, number), _NOT_READ)
            )
            return found.rowcount == 1

    def is_settled(self, number: int) -> bool:
        """Whether an output tells of this line, which has no id."""
        return self._line(_digest(None, number)) is not None

    def claim(self, custom_id: str, number: int) -> int | None:
        """A line of the input has this id: the number of the first that had it, 0 if it is done already, or
        None for a new one."""
        digest = _digest(custom_id, number)
        line = self._line(digest)
        with self._disk():
            if line is None:
                self._db.execute("INSERT INTO ids VALUES (?, ?)", (digest, number))
            elif line == _NOT_READ:
                self._db.execute("UPDATE ids SET line = ? WHERE digest = ?", (number, digest))
        return line

    def close(self) -> None:
        """Throw it away."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    def _line(self, digest: bytes) -> int | None:
        with self._disk():
            row: tuple[int] | None = self._db.execute(
                "SELECT line FROM ids WHERE digest = ?", (digest,)
            ).fetchone()
            return None if row is None else row[0]

    @contextmanager
    def _disk(self) -> Generator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise OutputWriteError(path=self._path, reason=str(error)) from error


def _digest(custom_id: str | None, number: int) -> bytes:
    told = f"line {number}" if custom_id is None else f"id {custom_id}"
    return hashlib.blake2b(told.encode(), digest_size=16).digest()
