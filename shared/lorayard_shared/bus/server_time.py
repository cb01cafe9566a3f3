"""The server's clock, as it writes it."""

from __future__ import annotations

from datetime import datetime


def server_seconds(text: str) -> float:
    """Unix seconds of the server's time, whose nanoseconds Python 3.11 reads, and other lengths it may not.

    Raises:
        ValueError: it is none.
    """
    head, dot, rest = text.partition(".")
    return datetime.fromisoformat(f"{head}.{rest.rstrip('Z')[:6]:0<6}+00:00" if dot else text).timestamp()
