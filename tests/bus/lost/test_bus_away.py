"""A bus that is away for good is said in bounded time; what it was doing meanwhile is done once (G2, E2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.bus.lost.conftest import Case, Cases
from tests.bus.lost.verb import Verb, call, judged, of_all
from tests.bus.lost.verbs import VERBS
from tests.conftest import Tally

from lorayard import (
    AliasRefusedError,
    BusUnavailableError,
    CancelReport,
    JobTimeoutError,
    KeyUnknownError,
    LetterUnknownError,
    LimitsUnknownError,
    LorayardError,
    PauseUnknownError,
    Redriven,
    RedriveOutcome,
    ScheduleUnknownError,
    StrikeUnknownError,
    SubmitReport,
    SubmitUnconfirmedError,
    VersionUnknownError,
    WaitReport,
)
from lorayard.mapping import MapItem

pytestmark = [pytest.mark.bus, pytest.mark.timeout(240)]

AT_ONCE = 12
"""Made ready; they all wait together."""

BOUND_SECONDS = 100.0
"""Twice what docs/client.md says of the slowest, on a machine that others keep busy."""

SAID = (BusUnavailableError, SubmitUnconfirmedError, JobTimeoutError)

DONE_BEFORE = (
    AliasRefusedError,
    KeyUnknownError,
    LetterUnknownError,
    LimitsUnknownError,
    PauseUnknownError,
    ScheduleUnknownError,
    StrikeUnknownError,
    VersionUnknownError,
)
"""Of what takes something away, the second time: it is gone."""

UNKEYED = {
    "generate",
    "map",
    "schedules.run_now",
    "stream",
    "submit",
    "submit (a long prompt)",
    "submit (for later)",
    "submit_many",
    "submit_many (atomic)",
}
"""Jobs without a key: another call is another job, so their user asks for the one whose id the error has."""

NOT_SENT = "submit (a long prompt)"
"""Its prompt comes first, and without one there is no job."""

PATIENT = {"handle.result", "handle.outcome", "handle.events", "handle.text_stream", "wait", "as_completed"}
"""Waits without an end, unless the caller gives one."""


def troubles(got: Any) -> list[LorayardError]:
    """Errors in what was returned."""
    if isinstance(got, SubmitReport):
        return [error for _, error in got.errors]
    if isinstance(got, CancelReport):
        return list(got.errors.values())
    if isinstance(got, list):
        listed: list[Any] = got  # pyright: ignore[reportUnknownVariableType]  # it narrows Any to Unknown
        items = [one for one in listed if isinstance(one, MapItem)]
        return [item.error for item in items if item.error is not None]
    return []


def is_told(got: Any) -> bool:
    """Whether a report says that it was not done, or not yet."""
    if isinstance(got, WaitReport):
        waited: WaitReport[Any] = got  # pyright: ignore[reportUnknownVariableType]  # it narrows Any to Unknown
        return bool(waited.pending)
    # pyright narrows Any to Unknown:
    reports: list[Any] = got if isinstance(got, list) else [got]  # pyright: ignore[reportUnknownVariableType]
    return [report.outcome for report in reports if isinstance(report, Redriven)] == [RedriveOutcome.FAILED]


async def cut_off(cases: Cases, gate: asyncio.Semaphore, verb: Verb) -> list[str]:
    """Mute the wire as soon as the verb changes something, or asks; then the user calls again."""
    async with cases.make() as case:
        async with gate:
            if verb.ready is not None:
                await verb.ready(case)
        case.wire.mute(writes_only=bool(verb.changes or verb.results))
        got: Any = None
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                got = await call(verb, case, case.client, patience=3.0 if verb.path in PATIENT else None)
            told = troubles(got)
        except LorayardError as error:
            told = [error]
        except Exception as error:  # noqa: BLE001  # all verbs are tried, whatever becomes of one
            return [f"{verb.label}: {type(error).__name__}: {error}"]
        case.wire.lose(None)
        wrong = [error for error in told if not isinstance(error, SAID)]
        if wrong or not (told or is_told(got)):
            return [f"{verb.label}: said {wrong}, returned {got!r}"]
        return await call_again(verb, case)


async def call_again(verb: Verb, case: Case) -> list[str]:
    try:
        try:
            got = await call(verb, case, case.sure) if verb.label not in UNKEYED else None
        except DONE_BEFORE:
            got = None
        if verb.label != NOT_SENT:
            await judged(verb, case, got, twice=True)
        assert await case.results() <= (verb.results or 1)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # as above
        return [f"{verb.label}, called again: {type(error).__name__}: {error}"]
    return []


async def test_a_bus_that_is_away_is_said_and_a_second_call_makes_no_second_thing__g2(
    cases: Cases, tally: Tally
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    faults = await of_all(VERBS, lambda verb: cut_off(cases, gate, verb))
    assert not faults, "\n".join(faults)
    tally("verbs cut off from the bus", len(VERBS))
