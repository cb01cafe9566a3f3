"""Messages as bytes: msgpack out, msgpack or JSON in.

The two cannot be confused: a JSON object begins with `{` or white space, which in msgpack are small
integers, never a map.
"""

from __future__ import annotations

from typing import TypeVar

import msgpack
from pydantic import ValidationError

from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message, Part

M = TypeVar("M", bound=Part)

MAX_FIELD_CHARACTERS = 200
"""A field may be a key of the sender's own, as long as a message; an answer that names it has to fit one."""

_JSON_STARTS = frozenset(b"{ \t\r\n")


def encode(message: Message) -> bytes:
    """The message as msgpack; fields that are None are left out."""
    return msgpack.packb(message.model_dump(mode="python", exclude_none=True))


def encode_given(message: Message) -> bytes:
    """The message as msgpack with the fields that were given and are not None: readers fill in the rest."""
    return msgpack.packb(message.model_dump(mode="python", exclude_none=True, exclude_unset=True))


def decode(kind: type[M], body: bytes) -> M:
    """Read a message of the given kind.

    Raises:
        MalformedMessageError: naming the first field at fault.
    """
    try:
        if body[:1] and body[0] in _JSON_STARTS:
            return kind.model_validate_json(body)
        # As `model_validate` does, which takes half a microsecond to come to it.
        return kind.__pydantic_validator__.validate_python(_unpack(kind, body))  # type: ignore[no-any-return]
    except ValidationError as error:
        raise _malformed(kind, error) from error


def _unpack(kind: type[Part], body: bytes) -> object:
    if not body:
        raise MalformedMessageError(kind=kind.__name__, field="", reason="the body is empty")
    try:
        unpacked = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedMessageError(
            kind=kind.__name__, field="", reason=f"neither msgpack nor a JSON object ({error})"
        ) from error
    if not isinstance(unpacked, dict):
        raise MalformedMessageError(
            kind=kind.__name__, field="", reason=f"a map is needed, got {type(unpacked).__name__}"
        )
    return unpacked  # pyright: ignore[reportUnknownVariableType]  # the model validates it


def _malformed(kind: type[Part], error: ValidationError) -> MalformedMessageError:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part)[:MAX_FIELD_CHARACTERS] for part in first["loc"])[:MAX_FIELD_CHARACTERS]
    return MalformedMessageError(kind=kind.__name__, field=field, reason=first["msg"])
