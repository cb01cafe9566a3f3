"""Ids in the order of time, so that a listing can go on behind one whose record is gone meanwhile."""

from __future__ import annotations

import re
import secrets
import time

MICROSECOND_DIGITS = 14
"""Of hex: until the year 4253."""

ID_DIGITS = MICROSECOND_DIGITS + 12


def new_id(prefix: str) -> str:
    """One that sorts behind all that were made before, as far as clocks agree."""
    return f"{prefix}{time.time_ns() // 1000:0{MICROSECOND_DIGITS}x}{secrets.token_hex(6)}"


def is_id(told: str) -> bool:
    """Whether it can be one at all, and so stand in a key."""
    return re.fullmatch(r"[A-Za-z]{1,16}[-_][0-9a-f]{26}", told) is not None
