"""A multipart form as it comes: its parts and their bytes, one piece in memory at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lorayard_gateway.files.errors import bad_form, not_multipart

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 16
"""An upload has at most four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBegan:
    """A field of the form."""

    name: str
    filename: str | None
    """None: it is no file."""


@dataclass(frozen=True, slots=True)
class PartBytes:
    """Some of the bytes of the part that began last."""

    data: bytes


FormEvent = PartBegan | PartBytes


async def form_events(content_type: str, coming: AsyncIterator[bytes]) -> AsyncGenerator[FormEvent]:
    """What a body tells, piece by piece.

    Raises:
        ApiError: it is no form, or a broken one.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise not_multipart()
    reading = _Reading()
    try:
        parser = MultipartParser(boundary, reading.callbacks)
        async for piece in coming:
            parser.write(piece)
            for event in reading.taken():
                yield event
        parser.finalize()
    except FormParserError as error:
        raise bad_form(str(error)) from error
    if not reading.ended:
        raise bad_form("it ends before its last boundary")


class _Reading:
    """Gathers what the parser calls back, until somebody takes it."""

    def __init__(self) -> None:
        self._events: list[FormEvent] = []
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._parts = 0
        self.ended = False
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }

    def taken(self) -> list[FormEvent]:
        """What has come since the last call."""
        events, self._events = self._events, []
        return events

    def _begin(self) -> None:
        self._disposition = b""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise FormParserError(f"it has more than {MOST_PARTS} parts")

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._header).strip().lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition.decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise FormParserError("a part has no name")
        filename = options.get(b"filename")
        name = options[b"name"].decode(errors="replace")
        self._events.append(
            PartBegan(name=name, filename=None if filename is None else filename.decode(errors="replace"))
        )

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            self._events.append(PartBytes(data[start:end]))

    def _end(self) -> None:
        self.ended = True
