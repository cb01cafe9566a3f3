"""Submit again where the yard has no room now: it is full, or a limit is used up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from lorayard.errors import (
    InvalidRequestError,
    JobFailedError,
    LimitReachedError,
    LorayardError,
    YardFullError,
)
from lorayard.handle import JobHandle
from lorayard.link import Link
from lorayard.request import GenerateRequest

Entries = list[JobHandle | LorayardError]
Submit = Callable[[Link, Iterable[GenerateRequest]], Awaitable[Entries]]

ASK_SECONDS = 0.5
"""Who is refused wants to hear it soon; without an answer the error has no time."""

FIRST_PAUSE_SECONDS = 0.2
"""Where nobody knows when there is room: it doubles up to the last one."""
LAST_PAUSE_SECONDS = 5.0
SPREAD = 0.25
"""Added at random: those that were refused together shall not come back together."""


class Patience:
    """How long one call may still wait, and how long until it tries again."""

    def __init__(self, seconds: float | None) -> None:
        """None: it waits for nothing.

        Raises:
            InvalidRequestError: no time can be that.
        """
        if seconds is not None and not (isinstance(seconds, int | float) and 0 <= seconds < float("inf")):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise InvalidRequestError(field="wait_for_room_seconds", reason="a number from 0 up is needed")
        self.waits = bool(seconds)
        self._until = time.monotonic() + (seconds or 0.0)
        self._pause = FIRST_PAUSE_SECONDS

    async def pause(self, errors: Sequence[LorayardError]) -> bool:
        """Wait until there may be room for one of these; False: not in time."""
        known = [after for error in errors if (after := retry_after(error)) is not None]
        seconds = min(known) if known else self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)
        left = self._until - time.monotonic()
        if seconds > left:
            return False
        await asyncio.sleep(min(left, seconds * (1.0 + SPREAD * random.random())))  # to spread, not to hide
        return True


def retry_after(error: LorayardError) -> float | None:
    """Seconds after which there may be room, as the yard has told."""
    if isinstance(error, YardFullError | LimitReachedError | JobFailedError):
        return error.retry_after_seconds
    return None


def may_pass(entry: JobHandle | LorayardError) -> bool:
    """Whether it was refused for want of room."""
    if isinstance(entry, LimitReachedError):
        return entry.retry_after_seconds is not None
    return isinstance(entry, YardFullError)


async def submit_patiently(
    link: Link, requests: Iterable[GenerateRequest], patience: Patience, submit: Submit, *, whole: bool
) -> Entries:
    """As `submit` does, and again for what found no room; `whole`: all or none of them each time."""
    if not patience.waits:
        entries = await submit(link, requests)
        await _hint(link, entries)
        return entries
    asked = list(requests)
    entries = await submit(link, asked)
    while True:
        places = [place for place, entry in enumerate(entries) if may_pass(entry)]
        if not places:
            return entries
        await _hint(link, entries)
        errors = [entry for entry in entries if isinstance(entry, LorayardError) and may_pass(entry)]
        if not await patience.pause(errors):
            return entries
        if whole:
            places = list(range(len(asked)))
        again = await submit(link, [asked[place] for place in places])
        for place, entry in zip(places, again, strict=True):
            entries[place] = entry


async def _hint(link: Link, entries: Entries) -> None:
    """Tell of a full yard when there will be room, where a dispatcher knows."""
    if not any(isinstance(entry, YardFullError) for entry in entries):
        return
    seconds = await _room_in(link)
    for place, entry in enumerate(entries):
        if isinstance(entry, YardFullError) and seconds is not None:
            entries[place] = YardFullError(reason=entry.reason, retry_after_seconds=seconds)


async def _room_in(link: Link) -> float | None:
    from lorayard.asking import ask  # most clients never meet a full yard
    from lorayard_schemas.limit import AskLimits, LimitsReport

    try:
        async with asyncio.timeout(ASK_SECONDS):
            report = await ask(link, "limits", AskLimits(tenant=link.tenant), LimitsReport)
    except (LorayardError, TimeoutError):
        return None
    return report.room_in_seconds
