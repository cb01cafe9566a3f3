"""One deadline for everything that is done within it: `with deadline(seconds=5): ...`."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context

from lorayard.errors import InvalidRequestError

_until: ContextVar[float | None] = ContextVar("lorayard_deadline", default=None)  # of time.monotonic


@contextmanager
def deadline(*, seconds: float) -> Generator[None]:
    """Share one deadline among all calls of clients inside, also those of functions and tasks begun there.

    A job that is submitted gets what is left as its `deadline_seconds`, and a wait ends with a
    `JobTimeoutError` by then; whichever is sooner counts, that of a call or that around it. Once it has
    passed nothing is submitted any more. Seconds from now.

    Raises:
        InvalidRequestError: it is no number above 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise InvalidRequestError(field="seconds", reason="a number above 0 is needed")
    around, until = _until.get(), time.monotonic() + seconds
    token = _until.set(until if around is None else min(around, until))
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left() -> float | None:
    """Until the deadline around this call; 0 once it has passed; None: there is none."""
    until = _until.get()
    return None if until is None else max(0.0, until - time.monotonic())


def sooner(seconds: float | None) -> float | None:
    """How long a wait may take that was given so long itself."""
    left = seconds_left()
    if left is None:
        return seconds
    return left if seconds is None else min(seconds, left)


def without_deadline() -> Context:
    """This context but for its deadline: for waits that somebody else ends."""
    context = copy_context()
    context.run(_until.set, None)
    return context
