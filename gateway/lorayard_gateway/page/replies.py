"""What the page is told, as JSON, whatever numbers a yard's processes have told of themselves."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import Response

from lorayard_gateway.replies import JSON, json_bytes, json_text


def page_reply(told: object, *, status: int = 200) -> Response:
    """A JSON document."""
    return Response(page_bytes(told), status_code=status, media_type=JSON)


def page_bytes(told: object) -> bytes:
    """The same as bytes. Infinities, which JSON has not, are told as nothing."""
    try:
        text = json_text(told)
    except ValueError:
        text = json_text(_finite(told))
    return json_bytes(text)


def _finite(told: Any) -> Any:
    if isinstance(told, float):
        return told if math.isfinite(told) else None
    if isinstance(told, dict):
        return {key: _finite(one) for key, one in told.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(told, list | tuple):
        return [_finite(one) for one in told]  # pyright: ignore[reportUnknownVariableType]
    return told
