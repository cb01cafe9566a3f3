"""What a browser is told of a yard, as it comes: the events of the gateway's page."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from lorayard_shared.process import end_tasks

PATH = "/ui/api/events"

MOST_LINE_BYTES = 2**26
"""All of a large yard is one line."""


class PageWatch:
    """One open page."""

    def __init__(self, url: str) -> None:
        """Of the gateway."""
        self._url = urlsplit(url)
        self._lost: dict[str, bool] = {}
        self.depths: list[tuple[float, int]] = []
        """Unfinished jobs as they were told, and when (monotonic)."""

    def is_lost(self, worker: str) -> bool | None:
        """Whether it is shown as lost; None: it is not shown."""
        return self._lost.get(worker)

    async def run(self) -> None:
        """Read until cancelled, or until the gateway ends."""
        reader, writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, limit=MOST_LINE_BYTES
        )
        # Of HTTP/1.0: no chunks, the body ends with the connection.
        writer.write(f"GET {PATH} HTTP/1.0\r\nHost: {self._url.netloc}\r\n\r\n".encode())
        kind = ""
        try:
            while line := await reader.readline():
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self._take(kind, json.loads(value))
        finally:
            writer.close()

    def _take(self, kind: str, told: dict[str, Any]) -> None:
        if overview := told.get("head", {}).get("overview"):
            self.depths.append((time.monotonic(), overview["unfinished"]))
        table: dict[str, Any] = told.get("tables", {}).get("workers", {})
        rows: dict[str, Any] = table if kind == "whole" else table.get("rows", {})
        for worker, row in rows.items():
            if "lost" in row:  # of a row that is known only what has changed is told
                self._lost[worker] = row["lost"]
        if kind != "whole":
            for worker in table.get("gone", ()):
                self._lost.pop(worker, None)


@asynccontextmanager
async def page_watched(url: str) -> AsyncGenerator[PageWatch]:
    """A page that is open while the body runs."""
    watch = PageWatch(url)
    reading = asyncio.create_task(watch.run(), name="bench-page")
    try:
        yield watch
        if reading.done():
            reading.result()  # figures of a page that was closed would be wrong
    finally:
        await end_tasks([reading])
