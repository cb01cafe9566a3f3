"""Reads the server's messages off the wire; nats-py's parser does the rest.

nats-py 2.16 tries two regular expressions on each message and cuts it off its buffer twice: 6 us, on a path
that a job takes five times. Cutting whole messages out of what was read takes 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from lorayard_shared.bus.heard import Heard, Take

_M, _H = b"MH"
_END = b"\r\n"

LONG_BYTES = 64 * 1024
"""What is read in more pieces than two is gathered by the parent, which does not copy what it has again."""


class MessageParser(Parser):
    """As its parent, message for message; what is heard goes to its hearer."""

    def __init__(self, nc: object, hearers: Mapping[int, Take]) -> None:
        """`hearers` by the number of their subscription."""
        super().__init__(nc)
        self._hearers = hearers

    def take(self, data: bytes) -> bytes:
        """Give what was read to its hearers, up to the first message that is none of theirs, or not whole.

        Returns what is left for `parse`.
        """
        assert self.nc is not None, "a parser belongs to a connection"
        if self.buf or self.state != AWAITING_CONTROL_LINE or self.nc.is_closed:
            return data
        done = 0
        with suppress(ProtocolError):  # `parse` comes to that as well
            while (message := _message(data, done)) is not None:
                hear = self._hearers.get(message[0])
                if hear is None:
                    break
                done = message[-1]
                _, subject, reply, header, payload, _ = message
                self.nc.heard(hear, Heard(subject, reply, header, payload))
        return data[done:] if done else data

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read.

        Raises:
            ProtocolError: the server does not speak NATS.
        """
        if self.state != AWAITING_CONTROL_LINE:
            await super().parse(data)
            return
        assert self.nc is not None, "a parser belongs to a connection"
        read = bytes(self.buf) + data if self.buf else data
        done = 0
        try:
            while (message := _message(read, done)) is not None:
                sid, subject, reply, header, payload, done = message
                take = self._hearers.get(sid)
                if take is None:
                    await self.nc._process_msg(sid, subject, reply, payload, header)
                    continue
                self.nc.heard(take, Heard(subject, reply, header, payload))
        finally:
            self.buf = bytearray(read[done:])
        if self.buf and (self.buf[0] not in (_M, _H) or len(self.buf) > LONG_BYTES):
            await super().parse()


_Message = tuple[int, bytes, bytes, bytes | None, bytes, int]
"""Subscription, subject, reply, header, payload, and where the next one begins."""


def _message(read: bytes, at: int) -> _Message | None:
    """The message that begins there; None when it is no message, or not whole."""
    if at >= len(read) or (kind := read[at]) not in (_M, _H):
        return None
    line_end = read.find(_END, at)
    if line_end < 0:
        return None
    words = read[at:line_end].split()
    try:
        start, header_bytes = line_end + 2, int(words[-2]) if kind == _H else 0
        end = start + int(words[-1])
        # The reply stands between the subscription and the sizes, and may be missing.
        reply = words[3] if len(words) == (6 if kind == _H else 5) else b""
        sid, subject = int(words[2]), words[1]
    except (ValueError, IndexError) as error:
        raise ProtocolError("nats: malformed MSG") from error
    if end + 2 > len(read):
        return None
    header = read[start : start + header_bytes] if header_bytes else None
    return sid, subject, reply, header, read[start + header_bytes : end], end + 2
