"""A quota of a calendar window: what is known to be used, and what the yard has not been told of yet."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_dispatcher.limiting.calendar_window import Period, Window, window_at

KEPT = 2
"""Windows: a clock that is set back finds what was counted in the one before."""


@dataclass(slots=True)
class Count:
    """Of one window."""

    known: float = 0.0
    """By the yard's counter, this dispatcher's part included."""
    untold: float = 0.0
    """Of this dispatcher, not in the counter yet."""
    on_its_way: float = 0.0
    """Of this dispatcher, sent and not confirmed."""
    token: str = ""
    """Of what is on its way: sent again under the same, it is counted once."""
    heard: bool = False
    """Whether the counter was ever read."""

    @property
    def used(self) -> float:
        """As far as is known here."""
        return max(0.0, self.known + self.untold + self.on_its_way)


class Quota:
    """One measure's amount for one period."""

    __slots__ = (
        "_counts",
        "_window",
        "amount",
        "begins_at",
        "current",
        "ends_at",
        "index",
        "name",
        "period",
    )

    def __init__(self, *, name: str, index: int, period: Period, amount: float) -> None:
        """`index` is that of the measure within a cost."""
        self.name = name
        self.index = index
        self.period = period
        self.amount = amount
        self._window = window_at(period, 0.0)
        self.current = Count()
        """Of the window from `begins_at` to before `ends_at`: read at each job, without asking `count`."""
        self.begins_at = self.ends_at = -1.0  # of no window yet
        self._counts: dict[str, Count] = {}

    def window(self, unix: float) -> Window:
        """The one that counts now."""
        self.count(unix)
        return self._window

    def count(self, unix: float) -> Count:
        """Of that window."""
        if not self.begins_at <= unix < self.ends_at:
            self._turn(unix)
        return self.current

    def counts(self) -> dict[str, Count]:
        """By the names of their windows."""
        return self._counts

    def add(self, amount: float, unix: float) -> None:
        """So much was used, or less than thought."""
        self.count(unix).untold += amount

    def take_over(self, old: Quota) -> None:
        """Go on with what was counted before the amount was changed."""
        self._counts = old._counts

    def _turn(self, unix: float) -> None:
        self._window = window = window_at(self.period, unix)
        self.begins_at, self.ends_at = window.begins_at, window.ends_at
        self.current = self._counts.setdefault(window.name, Count())
        while len(self._counts) > KEPT:
            self._forget(window.name)

    def _forget(self, current: str) -> None:
        # The one with nothing left to tell, the oldest first.
        others = sorted(name for name in self._counts if name != current)
        told = [name for name in others if not self._counts[name].untold]
        del self._counts[(told or others)[0]]
