"""Take one message out of a stream by its number."""

from __future__ import annotations

import nats.js.errors

from lorayard_shared.bus.connection import Bus

_DELETE_FAILED = 10057
"""Any failure to delete: only the text tells what is gone."""


async def delete_message(bus: Bus, stream: str, sequence: int) -> bool:
    """Delete it; whether it was there.

    Raises:
        nats.errors.Error, nats.js.errors.Error: the server did not, for another reason.
    """
    try:
        return await bus.js.delete_msg(stream, sequence)
    except nats.js.errors.NotFoundError:
        return False
    except nats.js.errors.APIError as error:
        if error.err_code == _DELETE_FAILED and "no message found" in (error.description or ""):
            return False
        raise
