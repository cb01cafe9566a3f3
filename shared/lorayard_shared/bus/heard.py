"""A message as it was read: what nobody asks for is not decoded.

nats-py reads subject, reply and headers of each message into an object with eight fields, for 5 us; of an
answer to a publish, three of four are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable

_HEAD = b"NATS/1.0"
_END = b"\r\n"
_STATUS_LENGTH = 3


class Heard:
    """One message."""

    __slots__ = ("_raw_reply", "_raw_subject", "data", "raw_headers")

    def __init__(self, subject: bytes, reply: bytes, headers: bytes | None, data: bytes) -> None:
        self._raw_subject = subject
        self._raw_reply = reply
        self.raw_headers = headers
        """As they stand in the message."""
        self.data = data

    @property
    def subject(self) -> str:
        """Where it was published, or as what the server passed it on."""
        return self._raw_subject.decode()

    @property
    def reply(self) -> str:
        """Where an answer goes; empty: nobody waits for one."""
        return self._raw_reply.decode()

    @property
    def headers(self) -> dict[str, str] | None:
        """By name, with `Status` and `Description` of a status; None: there are none."""
        return None if self.raw_headers is None else read_headers(self.raw_headers)

    def mentions(self, name: bytes) -> bool:
        """Whether this stands somewhere in the headers: cheaper than to read them, and mostly it does not."""
        return self.raw_headers is not None and name in self.raw_headers


Take = Callable[[Heard], None]
"""Runs on the loop that reads, so it must not take long."""


def read_headers(raw: bytes) -> dict[str, str] | None:
    """The headers of a message, as nats-py reads them; None: there are none."""
    line, _, lines = raw.partition(_END)
    found: dict[str, str] = {}
    if line[len(_HEAD) : len(_HEAD) + 1] == b" ":
        told = line[len(_HEAD) + 1 :]
        status = told[:_STATUS_LENGTH].strip().decode("utf-8", "replace")
        if status.isdigit():
            found["Status"] = status
        if description := told[_STATUS_LENGTH + 1 :]:
            found["Description"] = description.decode("utf-8", "replace")
    found |= read_lines(lines)
    return found or None


def read_lines(raw: bytes) -> dict[str, str]:
    """Lines of `name: value`; one whose name has white space in it, or is not ASCII, is none."""
    headers: dict[str, str] = {}
    for line in raw.split(_END):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        try:
            key = name.strip().decode("ascii")
        except UnicodeDecodeError:
            continue
        if not key or key.split() == [key]:
            headers[key] = value.strip().decode("utf-8", "replace")
    return headers
