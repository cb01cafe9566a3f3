"""Spans of time as people write them: 90, 90s, 10m, 2h, 1d."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_duration(text: str) -> float:
    """Seconds.

    Raises:
        ValueError: it is none, with the form that would be.
    """
    found = _SPAN.fullmatch(text.strip())
    seconds = float(found[1]) * _SECONDS[found[2]] if found is not None else math.inf
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"{text!r} is no span of time: write 90s, 10m, 2h or 1d")
    return seconds


def duration(_: object, tokens: Sequence[object] | str | None) -> None:
    """For command-line options that hold one."""
    if isinstance(tokens, str):
        read_duration(tokens)
