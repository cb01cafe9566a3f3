"""The least of an HTTP client: one request's bytes, again and again, over connections that stay open.

A client for general use takes longer for a request than the gateway does, and would be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)", re.IGNORECASE).search
_OK = b"HTTP/1.1 200"


class RefusedError(Exception):
    """Another status than 200: nothing was measured."""


class Connection:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
        self._reader, self._writer, self._request = reader, writer, request

    @classmethod
    async def open(cls, url: str, path: str, body: Mapping[str, Any], key: str) -> Self:
        """Ready to ask."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(reader, writer, _request(parts.netloc, path, json.dumps(body).encode(), key))

    async def ask(self) -> bytes:
        """The answer's body.

        Raises:
            RefusedError: it is no answer.
        """
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = _LENGTH(head)
        body = await self._reader.readexactly(int(found[1]) if found is not None else 0)
        if not head.startswith(_OK):
            status = head.splitlines()[0].decode()
            raise RefusedError(f"{status}: {body[:200].decode()}")
        return body

    async def close(self) -> None:
        """The socket too."""
        self._writer.close()
        await self._writer.wait_closed()


async def seconds_for(
    url: str, path: str, body: Mapping[str, Any], key: str, *, connections: int, requests: int
) -> float:
    """So many requests over so many connections, each asking again as soon as it is answered."""
    opened = [await Connection.open(url, path, body, key) for _ in range(connections)]
    left = iter(range(requests))

    async def ask_on(connection: Connection) -> None:
        for _ in left:
            await connection.ask()

    try:
        started = time.perf_counter()
        await asyncio.gather(*map(ask_on, opened))
        return time.perf_counter() - started
    finally:
        for connection in opened:
            await connection.close()


def _request(host: str, path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
