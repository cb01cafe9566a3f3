"""Points in time as they are written on a command line, and shown."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(_kind: object, text: str | None) -> None:
    """Refuse what is no point in time.

    Raises:
        ValueError: it is none.
    """
    if text is not None:
        read_moment(text)


def read_moment(text: str) -> float:
    """Unix seconds of an ISO 8601 time, on this machine's clock where it names no zone, or of a number.

    Raises:
        ValueError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time: write 2026-12-01T07:00+01:00, or unix seconds"
        raise ValueError(message) from error


def shown(at: float) -> str:
    """A time for people."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
