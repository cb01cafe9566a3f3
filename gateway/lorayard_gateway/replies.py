"""Responses: JSON, and errors as OpenAI tells them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from lorayard.errors import LimitReachedError, LorayardError
from lorayard.openai_shapes import ErrorShape, error_of
from lorayard_gateway.errors import ApiError

JSON = "application/json"
DEFAULT_RETRY_SECONDS = 1.0
"""Of 503, where nobody knows better: a bus is back in well under a second."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_text(told: object) -> str:
    """As it travels, once it is bytes."""
    return _ENCODER.encode(told)


def json_bytes(text: str) -> bytes:
    """JSON in UTF-8. Half of a surrogate pair, which a body may have, becomes JSON's own escape of it."""
    return text.encode(errors="backslashreplace")


def _json(told: object) -> bytes:
    """The same as bytes, four times as fast where there is nothing odd in it."""
    try:
        body = to_json(told)
    except ValueError:  # half of a surrogate pair
        return json_bytes(json_text(told))
    if b"NaN" in body or b"Infinity" in body:  # numbers that JSON does not have, or texts
        return json_bytes(json_text(told))
    return body


def json_reply(told: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document."""
    return Response(_json(told), status_code=status, media_type=JSON, headers=headers)


def shape_of(error: ApiError | LorayardError) -> ErrorShape:
    """What its client is told."""
    return error.shape if isinstance(error, ApiError) else error_of(error)


def error_reply(error: ApiError | LorayardError) -> Response:
    """The whole answer to a request that failed."""
    shape = shape_of(error)
    headers = dict(error.headers) if isinstance(error, ApiError) else {}
    later = shape.retry_after_seconds
    if later is None and shape.status == 503:
        later = DEFAULT_RETRY_SECONDS
    if later is not None:
        headers["Retry-After"] = str(max(1, math.ceil(later)))
        headers["retry-after-ms"] = str(math.ceil(later * 1000))  # the official clients look at it first
    if isinstance(error, LimitReachedError):
        headers |= _limit_headers(error)
    return json_reply(shape.body(), status=shape.status, headers=headers)


def _limit_headers(error: LimitReachedError) -> dict[str, str]:
    limit = error.limit
    measure = "tokens" if "tokens" in limit.name else "requests"
    told: dict[str, Any] = {
        "x-lorayard-limit": limit.name,
        f"x-ratelimit-limit-{measure}": f"{limit.value:.15g}",
        f"x-ratelimit-remaining-{measure}": f"{max(0.0, limit.value - (limit.used or limit.value)):.15g}",
    }
    if error.retry_after_seconds is not None:
        told[f"x-ratelimit-reset-{measure}"] = f"{error.retry_after_seconds:.3g}s"
    return told
