"""Gives a request's outcome to the code that asked."""

from __future__ import annotations

import structlog

from lorayard_shared.logs import Event
from lorayard_workers.engine.outcome import Outcome
from lorayard_workers.engine.protocol import Sink

_log = structlog.stdlib.get_logger(__name__)


def tell(sink: Sink, outcome: Outcome) -> None:
    """Call a sink; whatever it raises ends here, in the log.

    A sink is the caller's code on a thread that all requests share. An exit or a cancellation that it raises
    (SystemExit, asyncio.CancelledError) is the caller's own too: nobody waits for it here.
    """
    try:
        sink(outcome)
    except BaseException:  # noqa: BLE001  # see above
        _log.exception(Event.SINK_FAILED, request_id=outcome.request_id)
