"""Calendar windows of quotas: days and months, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

LAST_YEAR = 9000
"""A clock that says more is wrong; the calendar ends at 9999."""


class Period(StrEnum):
    """How long a quota lasts."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Window:
    """One day or month; times are unix seconds."""

    name: str
    """As `2026-11-23` or `2026-11`: what is counted stands under it."""
    begins_at: float
    ends_at: float

    def holds(self, unix: float) -> bool:
        """Whether a moment is in it."""
        return self.begins_at <= unix < self.ends_at


def window_at(period: Period, unix: float) -> Window:
    """The window that a moment is in."""
    at = datetime.fromtimestamp(min(max(unix, 0.0), 1.0e11), UTC)
    at = at.replace(year=min(at.year, LAST_YEAR), hour=0, minute=0, second=0, microsecond=0)
    if period is Period.DAY:
        return Window(at.strftime("%Y-%m-%d"), at.timestamp(), (at + timedelta(days=1)).timestamp())
    first = at.replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    return Window(first.strftime("%Y-%m"), first.timestamp(), after.timestamp())
