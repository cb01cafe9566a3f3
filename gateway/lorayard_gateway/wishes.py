"""What a request's headers ask for, beside its body."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers

from lorayard.openai_shapes import Beside
from lorayard_gateway.errors import bad_header
from lorayard_schemas.job import Lane
from lorayard_schemas.trace_context import check_traceparent

PRIORITY = "x-lorayard-priority"
DEADLINE = "x-lorayard-deadline-seconds"
ON_DISCONNECT = "x-lorayard-on-disconnect"
IDEMPOTENCY = "idempotency-key"
REQUEST_ID = "x-request-id"
RESUME = "last-event-id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:/+=@-]{1,128}")
MAX_KEY_CHARACTERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """As read."""

    lane: Lane | None = None
    deadline_seconds: float | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None
    goes_on: bool = False
    """Whether the work shall go on when its client goes away."""

    def beside(self, request_id: str) -> Beside:
        """What goes before fields of the body."""
        return Beside(
            lane=self.lane,
            deadline_seconds=self.deadline_seconds,
            correlation_id=request_id,
            traceparent=self.traceparent,
        )


def read_wishes(headers: Headers) -> Wishes:
    """What they ask.

    Raises:
        ApiError: one of them cannot be used.
    """
    key = headers.get(IDEMPOTENCY)
    if key is not None and not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        raise bad_header(IDEMPOTENCY, f"1 to {MAX_KEY_CHARACTERS} characters are needed")
    return Wishes(
        lane=_lane(headers),
        deadline_seconds=_seconds(headers),
        idempotency_key=key,
        traceparent=_traceparent(headers),
        goes_on=_goes_on(headers, keyed=key is not None),
    )


def request_id(headers: Mapping[str, str]) -> str:
    """The client's own id of the request, or a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{os.urandom(16).hex()}"


def _lane(headers: Headers) -> Lane | None:
    given = headers.get(PRIORITY)
    if given is None:
        return None
    try:
        return Lane(given)
    except ValueError:
        raise bad_header(PRIORITY, f"one of {', '.join(Lane)} is needed") from None


def _seconds(headers: Headers) -> float | None:
    given = headers.get(DEADLINE)
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise bad_header(DEADLINE, "a number of seconds above 0 is needed")
    return seconds


def _traceparent(headers: Headers) -> str | None:
    """One that is none is left out, as the standard of W3C wants it."""
    try:
        return check_traceparent(headers["traceparent"])
    except (KeyError, ValueError):
        return None


def _goes_on(headers: Headers, *, keyed: bool) -> bool:
    """Who gives a key will ask again under it, and must not find the work cancelled."""
    given = headers.get(ON_DISCONNECT)
    if given is None:
        return keyed
    if given not in ("cancel", "continue"):
        raise bad_header(ON_DISCONNECT, "cancel or continue is needed")
    return given == "continue"
