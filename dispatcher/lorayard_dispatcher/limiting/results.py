"""What limits read of stored results."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgpack


def used_tokens(body: bytes) -> float:
    """Tokens that a stored result tells of; none if it tells of nothing that can be counted.

    Anybody who may store results may write what they like: not-a-number in a sum would end all counting.
    """
    try:
        told: Any = msgpack.unpackb(body)
        usage: Any = told.get("usage") or {}
        used = float(usage.get("prompt_tokens", 0)) + float(usage.get("completion_tokens", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, msgpack.UnpackException):
        return 0.0
    return used if isfinite(used) and used > 0.0 else 0.0
