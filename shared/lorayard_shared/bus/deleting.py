"""Take one message out of a stream by its number."""

from __future__ import annotations

import nats.errors
import nats.js.errors

from lorayard_shared.bus.connection import ApiError, Bus

_DELETE_FAILED = 10057
"""Any failure to delete: only the text tells what is gone."""

_GONE = ("no message found", "stream store EOF")
"""The second: the stream has not come so far yet."""

_NOT_FOUND = frozenset({10037, 10043})
"""No such message: it was taken away before, or by another just now."""


TRIES = 3
"""A lost answer is asked for again."""


async def delete_message(bus: Bus, stream: str, sequence: int) -> bool:
    """Delete it; whether it was there. Its bytes are not overwritten on disk: that takes ten times as long.

    What is gone after a try without an answer was there: that try has most likely deleted it.

    Raises:
        nats.errors.Error, nats.js.errors.Error: the server did not, for another reason.
    """
    for left in reversed(range(TRIES)):
        try:
            return await _delete(bus, stream, sequence) or left < TRIES - 1
        except nats.errors.TimeoutError:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


async def _delete(bus: Bus, stream: str, sequence: int) -> bool:
    try:
        await bus.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    except ApiError as error:
        gone = error.code == _DELETE_FAILED and any(text in error.description for text in _GONE)
        if gone or error.code in _NOT_FOUND:
            return False
        raise nats.js.errors.APIError(err_code=error.code, description=error.description) from error
    return True
