"""Ids in the order of time, so that a listing can go on behind one whose record is gone meanwhile."""

from __future__ import annotations

import secrets
import time

MICROSECOND_DIGITS = 14
"""Of hex: until the year 4253."""


def new_id(prefix: str) -> str:
    """One that sorts behind all that were made before, as far as clocks agree."""
    return f"{prefix}{time.time_ns() // 1000:0{MICROSECOND_DIGITS}x}{secrets.token_hex(6)}"
