"""Every verb of a client is done once, though a message of it is lost with its connection (G2, E2)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.bus.lost.conftest import Case, Cases, Loss, Lost
from tests.bus.lost.verb import Verb, call, called, judged, of_all
from tests.bus.lost.verbs import ELSEWHERE, PARTS, VERBS
from tests.conftest import Tally

from lorayard import SyncClient

pytestmark = [pytest.mark.bus, pytest.mark.timeout(240)]

AT_ONCE = 12
"""Reconnects are waited for together."""

READS = ("$JS.API.DIRECT", "$JS.API.STREAM.INFO", "$JS.API.CONSUMER", "_INBOX", "audit")
"""Kinds of which one is as good as another."""

PATIENCE_SECONDS = 40.0
"""Of one call, on a machine that others keep busy."""


def public(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_") or name in ("__call__", "__await__")}


@pytest.mark.parametrize("path", PARTS)
def test_every_verb_has_a_line_here(path: str) -> None:
    listed = {verb.path for verb in VERBS} | ELSEWHERE.keys()
    verbs = {f"{path}{name}" for name in public(PARTS[path])}
    parts = {part.removesuffix(".") for part in PARTS}
    assert verbs - listed - parts == set()


def test_every_line_here_is_a_verb() -> None:
    verbs = {f"{path}{name}" for path, part in PARTS.items() for name in public(part)}
    assert {verb.path for verb in VERBS} | ELSEWHERE.keys() <= verbs


async def try_once(cases: Cases, verb: Verb, lost: Lost | None) -> list[Lost] | str:
    """What went by in the call, some of each kind; or what went wrong."""
    async with cases.make() as case:
        if verb.ready is not None:
            await verb.ready(case)
        case.wire.lose(lost)
        fault = await try_call(verb, case, lambda: call(verb, case, case.client))
        passed = Counter(case.wire.passed)
    return fault or [
        Lost(way=way, kind=kind, number=number)
        for (way, kind), most in passed.items()
        for number in sorted({1} if kind.startswith(READS) else {1, most})
    ]


async def try_twin(cases: Cases, verb: Verb) -> str:
    """Lose the first answer to a blocking client; what went wrong."""
    async with cases.make() as case:
        if verb.ready is not None:
            await verb.ready(case)
        client = SyncClient(settings=case.far, tenant=case.name)
        await asyncio.to_thread(client.open)
        try:
            case.wire.lose(Lost(way=Loss.ANSWER))
            return await try_call(verb, case, lambda: asyncio.to_thread(call_blocking, verb, case, client))
        finally:
            await asyncio.to_thread(client.close)


async def try_call(verb: Verb, case: Case, made: Callable[[], Awaitable[Any]]) -> str:
    """Call and judge; what went wrong."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            got = await made()
        await judged(verb, case, got)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  # all verbs are tried
        return f"{verb.label} ({case.wire.lost}): {type(error).__name__}: {error}"
    return ""


def call_blocking(verb: Verb, case: Case, client: SyncClient) -> Any:
    got = called(verb, case, client)
    if isinstance(got, Iterator):
        stream: Iterator[Any] = got  # pyright: ignore[reportUnknownVariableType]  # it narrows Any to Unknown
        return list(stream)
    return got


@pytest.mark.parametrize("way", list(Loss))
async def test_every_verb_is_done_once_whatever_message_of_it_is_lost__g2(
    cases: Cases, way: Loss, tally: Tally
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    tried = 0

    async def lose_each(verb: Verb) -> list[str]:
        nonlocal tried
        async with gate:
            passed = await try_once(cases, verb, None)
        if isinstance(passed, str):
            return [passed]
        faults: list[str] = []
        for lost in [lost for lost in passed if lost.way is way]:
            async with gate:
                found = await try_once(cases, verb, lost)
            tried += 1
            faults += [found] if isinstance(found, str) else []
        return faults

    faults = await of_all(VERBS, lose_each)
    assert not faults, "\n".join(faults)
    tally(f"lost {way}s", tried)


async def test_blocking_twins_are_done_once_too__g2(cases: Cases, tally: Tally) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def lose_first(verb: Verb) -> list[str]:
        async with gate:
            fault = await try_twin(cases, verb)
        return [fault] if fault else []

    faults = await of_all(VERBS, lose_first)
    assert not faults, "\n".join(faults)
    tally("blocking twins", len(VERBS))
