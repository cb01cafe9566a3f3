"""Numbers as short texts: a column has five or six characters."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "-"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONG = 100_000
"""From here on a count is told in thousands: six characters hold no more."""


def count(number: int) -> str:
    """`1,234`, `123k`, `12.3M`."""
    if number < _LONG:
        return f"{number:,}"
    if number < 10_000_000:
        return f"{number / 1e3:,.0f}k"
    return f"{number / 1e6:,.1f}M"


def rate(per_second: float | None) -> str:
    """So many in a second; `-`: nobody knows."""
    if per_second is None:
        return UNKNOWN
    return f"{per_second:.1f}" if per_second < 100 else count(round(per_second))


def share(part: float | None) -> str:
    """`97%`."""
    return UNKNOWN if part is None else f"{part:.0%}"


def age(seconds: float | None) -> str:
    """`5s`, `3m12`, `2h05`, `4d`: five characters at most."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}"
    return f"{whole // _DAY:,}d"


def milliseconds(spent: float) -> str:
    """`12ms`, `1.2s`, `95s`."""
    if spent < 999.5:
        return f"{spent:.0f}ms"
    return f"{spent / 1e3:.1f}s" if spent < 99_950 else f"{spent / 1e3:.0f}s"


def megabytes(size_bytes: int) -> str:
    """In MB, as the other tables tell sizes."""
    return f"{size_bytes / 1e6:,.1f}"


def clock(at: float) -> str:
    """The time of a day, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def moment(at: float) -> str:
    """Day and time, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M")
