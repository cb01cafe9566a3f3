"""One value that a bucket watch tells of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message
from lorayard_shared.logs import Event, process_logger

M = TypeVar("M", bound=Message)


def read_under(key: str, value: bytes, message: type[M], key_of: Callable[[M], str]) -> M | None:
    """The value of a key; None, which is logged, where it cannot be read.

    One that stands under the key of another is not believed: it would hide, or outlive, what it is a copy of.
    """
    try:
        found = decode(message, value)
        if key_of(found) != key:
            raise MalformedMessageError(
                kind=message.__name__, field="key", reason=f"what belongs to {key_of(found)!r} stands there"
            )
    except MalformedMessageError as error:
        process_logger().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
        return None
    return found
