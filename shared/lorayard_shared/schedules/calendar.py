"""When a cron expression is due in a time zone.

The rules are cron's own: where day of month and day of week are both restricted, either will do. A time that
the clocks skip in spring is due when they have; one that they show twice in autumn is due the first time,
unless the hour is `*`, which is due in both. `cronsim` knows them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lorayard_shared.errors import YardError

if TYPE_CHECKING:
    from cronsim import CronSim

FIELDS = 5
WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


class CalendarError(YardError):
    """A cron expression or a time zone cannot be used; `field` says which."""

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Calendar:
    """The occurrences of one expression in one zone; all times are unix seconds."""

    def __init__(self, cron: str, tz: str) -> None:
        """Read them.

        Raises:
            CalendarError: one of them is none.
        """
        from cronsim import CronSimError  # of all who import this few have a schedule

        self._cron = WORDS.get(cron.strip(), cron)
        self._zone = _zone(tz)
        fields = len(self._cron.split())
        if fields != FIELDS:
            reason = f"{cron!r} has {fields} fields; write minute, hour, day of month, month, day of week"
            raise CalendarError(field="cron", reason=f"{reason}, as `0 7 * * 1-5`, or one of {_words()}")
        try:
            self._from(0.0)
        except CronSimError as error:
            raise CalendarError(field="cron", reason=f"{cron!r}: {str(error).lower()}") from error

    def after(self, moment: float) -> float | None:
        """The first one after a moment; None: there is none."""
        return next(self._moments(moment), None)

    def before(self, moment: float) -> Iterator[float]:
        """Those up to a moment, the newest first."""
        return self._moments(moment + 1.0, reverse=True)

    def _moments(self, moment: float, *, reverse: bool = False) -> Iterator[float]:
        try:
            for found in self._from(moment, reverse=reverse):
                yield found.timestamp()
        except (OverflowError, ValueError):
            return  # beyond the years that a datetime knows

    def _from(self, moment: float, *, reverse: bool = False) -> CronSim:
        from cronsim import CronSim

        return CronSim(self._cron, datetime.fromtimestamp(moment, UTC).astimezone(self._zone), reverse)


@lru_cache(maxsize=1024)
def calendar_of(cron: str, tz: str) -> Calendar:
    """The calendar, read once. Raises CalendarError."""
    return Calendar(cron, tz)


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        reason = f"{tz!r} is no time zone known here, as Europe/Zurich or UTC (`pip install tzdata` has all)"
        raise CalendarError(field="tz", reason=reason) from error


def _words() -> str:
    return ", ".join(WORDS)
