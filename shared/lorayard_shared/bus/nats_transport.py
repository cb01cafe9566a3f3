"""The bytes of a connection to the server: what is heard is taken as it comes in, and what is posted goes out
without a task.

nats-py wakes a task for whatever comes in, which reads it out of a buffer and has it parsed, and another one
for whatever is to go out: 10 us each, on a path that each job takes a dozen times in all processes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import ParseResult

from nats.aio.transport import TcpTransport

CLOSE_SECONDS = 1.0
"""For what is still to be written."""

TakeBytes = Callable[[bytes], bytes]
"""Takes what it can at once, from the beginning on, and returns the rest."""


class TakingReader(asyncio.StreamReader):
    """Keeps for its reader only what was not taken."""

    _waiter: asyncio.Future[None] | None
    _buffer: bytearray

    def __init__(self, take: TakeBytes, *, limit: int) -> None:
        super().__init__(limit=limit, loop=asyncio.get_running_loop())
        self._take = take

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # it is bytes
        """Something was read off the socket.

        Nothing is taken out of turn: only while the reader waits, and has nothing before it.
        """
        if self._waiter is not None and not self._buffer:
            data = self._take(data)
        super().feed_data(data)


class _TlsProtocol(asyncio.StreamReaderProtocol):
    """As its parent, which over TLS has no half of a connection to keep open."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


class TakingTransport(TcpTransport):
    """As its parent; over TLS nothing is taken."""

    def __init__(self, take: TakeBytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nats-py
        self._take = take

    def __bool__(self) -> bool:
        """Or nats-py would put one of its own in its place, before the first connection."""
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Open a socket, as `asyncio.open_connection` does.

        Raises:
            OSError, TimeoutError: nobody is there.
        """
        assert uri.hostname is not None, "nats-py has looked for one"
        assert uri.port is not None, "or added its own"
        loop = asyncio.get_running_loop()
        reader = TakingReader(self._take, limit=buffer_size)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        async with asyncio.timeout(connect_timeout):
            transport, _ = await loop.create_connection(lambda: protocol, uri.hostname, uri.port)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Go on over TLS, as its parent's does, which has asyncio complain on stderr when the server ends."""
        assert self._io_writer is not None, "connected before"
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=buffer_size, loop=loop)
        protocol = _TlsProtocol(reader, loop=loop)
        host = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            transport = await loop.start_tls(
                self._io_writer.transport, protocol, ssl_context, server_hostname=host
            )
        assert transport is not None, "or it raises"
        self._io_reader = reader
        self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    @property
    def is_idle(self) -> bool:
        """Whether all that was written is out: more may be written without a look at how much is left."""
        writer = self._io_writer
        return writer is not None and not writer.transport.get_write_buffer_size()

    def close(self) -> None:
        """Say goodbye and end it, without a wait for the server's goodbye.

        asyncio's transport over TLS awaits that for half a minute, and breaks when it is closed twice.
        """
        if self._io_writer is None or self._bare_io_writer is None:
            return
        if not self._io_writer.is_closing():
            self._io_writer.close()
        self._bare_io_writer.transport.close()

    async def wait_closed(self) -> None:
        """Wait for its end, but not for long.

        In a task: asyncio's own wait, once it is cancelled, cancels whoever waits after it.
        """
        if self._io_writer is None or self._bare_io_writer is None:
            return
        ending = asyncio.ensure_future(self._io_writer.wait_closed())
        ending.add_done_callback(_heard)
        await asyncio.wait({ending}, timeout=CLOSE_SECONDS)
        if not ending.done():
            self._bare_io_writer.transport.abort()


def _heard(ending: asyncio.Future[None]) -> None:
    """However it ended, it has."""
    if not ending.cancelled():
        ending.exception()
