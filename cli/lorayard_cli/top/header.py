"""The lines around the tables: which yard, as of when, the tabs, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from lorayard_cli.top.amounts import age, clock
from lorayard_cli.top.columns import clean, fit
from lorayard_cli.top.picture import Tab
from lorayard_shared.settings import YardSettings

OLD_INTERVALS = 3.0
"""A picture older than so many intervals is called old, whatever is the cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old what is shown is, and why."""

    at: float | None
    """Of the snapshot, unix seconds; None: there is none yet."""
    heard_seconds: float
    """Since it came, by the clock of this machine."""
    interval_seconds: float
    paused: bool = False
    trouble: str = ""
    """Why the last question had no answer."""

    @property
    def old(self) -> bool:
        """Whether it is not how the yard is now."""
        late = self.heard_seconds > OLD_INTERVALS * self.interval_seconds + 1.0
        return bool(self.trouble) or (late and not self.paused)


def place_of(settings: YardSettings) -> str:
    """Which yard it is, for a screen that others may see: without user and password."""
    return f"{settings.prefix} at {settings.shown_url}"


def header_line(yard: str, fresh: Freshness, width: int) -> Text:
    """Which yard, and as of when."""
    left = f"lorayard top  {clean(yard)}"
    right = _standing(fresh)
    room = width - len(right) - 1
    line = Text(fit(left, max(0, room)) + " " if room > 0 else "", style="bold")
    loud = "bold reverse red" if fresh.old else "bold reverse"
    line.append(right, style=loud if fresh.old or fresh.paused else "bold")
    return line


def _standing(fresh: Freshness) -> str:
    if fresh.at is None:
        return " NO ANSWER YET " if fresh.trouble else " asking ... "
    if fresh.old:
        return f" OLD: as of {age(fresh.heard_seconds)} ago "
    if fresh.paused:
        return f" PAUSED at {clock(fresh.at)} UTC "
    return f"{clock(fresh.at)} UTC, every {fresh.interval_seconds:g} s"


def tab_line(shown: Tab, counts: dict[Tab, int], width: int) -> Text:
    """The tabs with their keys; the one that is shown stands in brackets too, without colour."""
    words = {tab: f"{tab.value} {counts[tab]:,}" if tab in counts else tab.value for tab in Tab}
    if _length(words) > width:
        words = {tab: tab.value for tab in Tab}
    line = Text()
    for number, tab in enumerate(Tab, start=1):
        if tab is shown:
            line.append(f"[{number} {words[tab]}]", style="bold reverse")
        else:
            line.append(f" {number} {words[tab]} ")
    line.truncate(width)
    return line


def _length(words: dict[Tab, str]) -> int:
    return sum(len(word) + 4 for word in words.values())


def key_line(keys: Sequence[tuple[str, str]], width: int) -> Text:
    """What keys do here; those that have no room are in the help."""
    line = Text()
    for key, word in keys:
        if line.cell_len + len(key) + len(word) + 3 > width:
            break
        line.append(" ")
        line.append(key, style="bold reverse" if key.isupper() else "bold")
        line.append(f" {word} ")
    return line
