"""Take one message out of a stream by its number."""

from __future__ import annotations

import nats.js.errors

from lorayard_shared.bus.connection import ApiError, Bus

_DELETE_FAILED = 10057
"""Any failure to delete: only the text tells what is gone."""

_GONE = ("no message found", "stream store EOF")
"""The second: the stream has not come so far yet."""

_NOT_FOUND = frozenset({10037, 10043})
"""No such message: it was taken away before, or by another just now."""


async def delete_message(bus: Bus, stream: str, sequence: int) -> bool:
    """Delete it; whether it was there. Its bytes are not overwritten on disk: that takes ten times as long.

    Raises:
        nats.errors.Error, nats.js.errors.Error: the server did not, for another reason.
    """
    try:
        await bus.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
    except ApiError as error:
        gone = error.code == _DELETE_FAILED and any(text in error.description for text in _GONE)
        if gone or error.code in _NOT_FOUND:
            return False
        raise nats.js.errors.APIError(err_code=error.code, description=error.description) from error
    return True
