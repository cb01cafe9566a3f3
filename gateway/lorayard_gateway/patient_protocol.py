"""HTTP/1.1 as uvicorn speaks it, with an end to patience and to the number of connections: the head of a
request has to come in time, and so has the rest of a body that was answered before it was all there, as where
there was no key; and an answer has to be taken.

uvicorn has a limit for connections that rest between requests only, so that one that sends either a byte a
minute would be kept for ever, a socket each. Its limit of connections refuses those that were there before as
well, as soon as there are enough that say nothing. And a reader that takes nothing is waited for without end,
even by a connection that is closed: it still has to send what is left.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from lorayard_gateway.errors import too_many_connections
from lorayard_gateway.replies import error_reply

REFUSED_SECONDS = 1.0
"""For the head of a request that will be refused."""


class PatientProtocol(H11Protocol):
    """One connection."""

    header_seconds: ClassVar[float] = 10.0
    send_seconds: ClassVar[float] = 60.0
    """Between two looks whether a reader has taken some of what is left for it."""
    most: ClassVar[int] = 800
    """Connections at once. One beyond that hears why it is refused."""
    full: ClassVar[Response]
    """What answers it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._patience = self.header_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock runs from here: who says nothing at all holds a socket too."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.app = self.full
            self._patience = min(self._patience, REFUSED_SECONDS)
            if len(self.connections) > self.most + -(-self.most // 4):
                transport.abort()  # nor is each of them heard: until it has asked it is a socket, too
                return
        self._wait()

    def data_received(self, data: bytes) -> None:
        """A head that is complete ends the wait; the first byte of the next one begins it."""
        super().data_received(data)
        if self.transport.is_closing() or not (self.conn.their_state is h11.IDLE or self._sends_on()):
            self._wait_no_longer()
        else:
            self._wait()

    def on_response_complete(self) -> None:
        """What came behind the last request may be the beginning of the next."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reader()
            return
        if self._sends_on() or (self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to wait for."""
        self._wait_no_longer()
        self._read_again()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More is left than a reader takes at once."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It has taken enough for the next; of what is the last, all has to go."""
        if not self.transport.is_closing():
            self._read_again()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked any more; the last answer may not be taken yet."""
        super().timeout_keep_alive_handler()
        self._watch_reader()

    def _sends_on(self) -> bool:
        """A body that nobody reads any more."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._patience, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_reader()

    def _watch_reader(self) -> None:
        if self._reader_timer is None:
            self._look_at_reader(None)

    def _look_at_reader(self, before: int | None) -> None:
        self._reader_timer = None
        left = self.transport.get_write_buffer_size()
        if left and left == before:
            self.transport.abort()
        elif left:
            self._reader_timer = self.loop.call_later(self.send_seconds, self._look_at_reader, left)

    def _read_again(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None


def protocol_with(*, header_seconds: float, send_seconds: float, most: int) -> type[PatientProtocol]:
    """The protocol with its limits: uvicorn makes its instances itself, and hands them nothing of ours."""
    limits = {
        "header_seconds": header_seconds,
        "send_seconds": send_seconds,
        "most": most,
        "full": error_reply(too_many_connections(most)),
    }
    return type("LimitedProtocol", (PatientProtocol,), limits)
