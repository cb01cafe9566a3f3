"""What is kept between runs: answers as they come, and documents that are done, in one SQLite file.

A process that is killed loses what was in flight and nothing else; several may share the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Self, TypeVar

from lorayard.summarize.errors import CacheError

FILE_NAME: Final = "summaries.sqlite"
KEPT_SECONDS: Final = 180 * 86_400.0
"""Since it was written: what nobody asked for in half a year is made anew."""
BUSY_SECONDS: Final = 30.0
"""Another run's write takes milliseconds, a slow disk longer."""

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS jobs (key TEXT PRIMARY KEY, body TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS failures (key TEXT PRIMARY KEY, failed INTEGER NOT NULL, at REAL NOT NULL)",
)

T = TypeVar("T")


class Cache:
    """Every method raises CacheError where the file cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Open it, or make it."""
        self.folder = folder
        self._turn = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(
                folder / FILE_NAME, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise CacheError(folder, str(error)) from error

    def _prepare(self) -> None:
        # A write-ahead log and no wait for the disk: a killed process loses nothing, a lost power supply
        # the last answers.
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        for table in _TABLES:
            self._file.execute(table)
        oldest = time.time() - KEPT_SECONDS
        for name in ("answers", "documents", "jobs", "failures"):
            self._file.execute(f"DELETE FROM {name} WHERE at < ?", (oldest,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._file.close()

    async def answer(self, key: str) -> str | None:
        """What was answered to what was asked under this key."""
        return await self._run(lambda: self._read("SELECT body FROM answers WHERE key = ?", key))

    async def keep_answer(self, key: str, body: str) -> None:
        """Keep an answer; what failed before counts no more."""
        await self._run(lambda: self._write("answers", key, body))

    async def document(self, key: str) -> str | None:
        """What was made of a document."""
        return await self._run(lambda: self._read("SELECT body FROM documents WHERE key = ?", key))

    async def keep_document(self, key: str, body: str) -> None:
        """Keep what was made of a document."""
        await self._run(lambda: self._write("documents", key, body))

    async def job(self, key: str) -> str | None:
        """The job that was submitted under this name, by this run or an earlier one."""
        return await self._run(lambda: self._read("SELECT body FROM jobs WHERE key = ?", key))

    async def keep_job(self, key: str, job_id: str) -> None:
        """Remember a job, to find it again."""
        await self._run(lambda: self._write("jobs", key, job_id))

    async def failures(self, key: str) -> int:
        """How often a job under this key has failed: the next one needs a name of its own."""
        found = await self._run(lambda: self._read("SELECT failed FROM failures WHERE key = ?", key))
        return int(found or 0)

    async def count_failure(self, key: str) -> None:
        """One more."""
        statement = (
            "INSERT INTO failures VALUES (?, 1, ?) "
            "ON CONFLICT (key) DO UPDATE SET failed = failed + 1, at = excluded.at"
        )
        await self._run(lambda: self._execute(statement, key, time.time()))

    async def _run(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                with self._turn:
                    return call()
            except sqlite3.Error as error:
                raise CacheError(self.folder, str(error)) from error

        return await asyncio.to_thread(guarded)

    def _read(self, statement: str, key: str) -> str | None:
        with closing(self._file.execute(statement, (key,))) as found:
            row = found.fetchone()
        return None if row is None else str(row[0])

    def _write(self, table: str, key: str, body: str) -> None:
        self._execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", key, body, time.time())

    def _execute(self, statement: str, *values: str | float) -> None:
        self._file.execute(statement, values).close()
