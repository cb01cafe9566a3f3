"""`lorayard check`: one line and an exit code for monitoring systems."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import nats.errors
from cyclopts import Parameter

from lorayard import BusUnavailableError, LorayardError
from lorayard_cli.checks.bus import check_bus
from lorayard_cli.checks.finding import Level
from lorayard_cli.checks.reach import why_unreachable
from lorayard_cli.checks.room import stream_shares
from lorayard_cli.connection import client
from lorayard_cli.embedded.data_folder import running_yard
from lorayard_cli.monitoring.verdict import (
    Bounds,
    Figure,
    Part,
    Status,
    Verdict,
    judge_adapters,
    judge_dead,
    judge_queue,
    judge_shares,
    judge_troubles,
    judge_workers,
    together,
)
from lorayard_cli.options import COMMON, NEAREST, TEXT, Output, YardAddress, data_folder
from lorayard_cli.output import print_json, print_text
from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import ApiError, Bus, connect
from lorayard_shared.errors import YardError

OLDER_SECONDS = 1.0
"""How old the snapshot may be: several checks in a row cost one reading."""

LOOKS = 48
"""At the queues, until the age of each is known: each asks for some, of 2,000 at most."""


def _above_zero(_kind: object, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"seconds above 0 are needed, got {value}")


Positive = Annotated[float, Parameter(validator=_above_zero)]


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long it may take."""

    timeout: Positive = 10.0
    """Seconds; then the status is unknown."""


USUAL = Patience()


async def bus(
    *,
    warn: float = 0.5,
    crit: float = 2.0,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Is there a bus of the right version, with all that the yard declares; how soon does it answer.

    Parameters
    ----------
    warn
        Seconds of an answer.
    crit
        The same.
    """
    return await _run("bus", output, patience, lambda: _bus(yard, _bounds(warn, crit)))


async def queue(
    *,
    warn_age: float = 60.0,
    crit_age: float = 300.0,
    warn_depth: int | None = None,
    crit_depth: int | None = None,
    adapter: str | None = None,
    lane: Lane | None = None,
    tenant: str | None = None,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Do jobs wait too long, or too many.

    Parameters
    ----------
    warn_age
        Seconds of the oldest job.
    crit_age
        The same.
    warn_depth
        Jobs without a result; without a bound when absent.
    crit_depth
        The same.
    adapter
        Only jobs that name it, in any version or this one.
    lane
        Only jobs of this lane.
    tenant
        Only jobs of this tenant.
    """
    age, depth = _bounds(warn_age, crit_age), _bounds(warn_depth, crit_depth)
    part = Part(adapter=adapter, lane=lane, tenant=tenant)

    async def look() -> Verdict:
        async with client(yard) as connected:
            seen = await connected.snapshot(older_seconds=OLDER_SECONDS)
            for _ in range(LOOKS):
                if not part.unaged(seen):
                    break
                seen = await connected.snapshot(parts=("queues", "holds"), older_seconds=0.0)
        return judge_queue(seen, age=age, depth=depth, part=part)

    return await _run("queue", output, patience, look)


async def workers(
    *,
    warn: int = 0,
    crit: int = 0,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Are there enough workers; was one lost within ten minutes.

    Parameters
    ----------
    warn
        So few alive, or fewer.
    crit
        The same.
    """

    async def look() -> Verdict:
        async with client(yard) as connected:
            return judge_workers(await connected.snapshot(older_seconds=OLDER_SECONDS), warn=warn, crit=crit)

    return await _run("workers", output, patience, look)


async def adapters(
    *,
    adapter: str | None = None,
    warn: float = 0.01,
    crit: float = 0.1,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Do adapters serve: none struck, refused by workers, or failing.

    Parameters
    ----------
    adapter
        Critical when no version of it is active; a name, or name@version.
    warn
        Share of an adapter's answers of the last minute that are errors.
    crit
        The same.
    """

    async def look() -> Verdict:
        async with client(yard) as connected:
            seen = await connected.snapshot(older_seconds=OLDER_SECONDS)
        return judge_adapters(seen, errors=_bounds(warn, crit), adapter=adapter)

    return await _run("adapters", output, patience, look)


async def dead(
    *,
    warn: int = 1,
    crit: int = 100,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Are there dead letters.

    Parameters
    ----------
    warn
        How many.
    crit
        The same.
    """

    async def look() -> Verdict:
        async with client(yard) as connected:
            return judge_dead(await connected.snapshot(older_seconds=OLDER_SECONDS), _bounds(warn, crit))

    return await _run("dead", output, patience, look)


async def disk(
    *,
    warn: float = 80.0,
    crit: float = 95.0,
    patience: Patience = USUAL,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """How full are the streams that refuse when they are full, and the disk of an embedded bus.

    Parameters
    ----------
    warn
        Percent.
    crit
        The same.
    """
    return await _run("disk", output, patience, lambda: _disk(yard, _bounds(warn, crit)))


async def all_(*, patience: Patience = USUAL, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """All of these with their usual bounds, and what the yard itself calls wrong."""

    async def look() -> Verdict:
        found = [await _bus(yard, Bounds(warn=0.5, crit=2.0))]
        if found[0].status is not Status.CRITICAL:
            async with client(yard) as connected:
                seen = await connected.snapshot(older_seconds=OLDER_SECONDS)
            found += [
                judge_queue(seen, age=Bounds(warn=60.0, crit=300.0), depth=Bounds()),
                judge_workers(seen, warn=0, crit=0),
                judge_adapters(seen, errors=Bounds(warn=0.01, crit=0.1)),
                judge_dead(seen, Bounds(warn=1, crit=100)),
                await _disk(yard, Bounds(warn=80.0, crit=95.0)),
                judge_troubles(seen),
            ]
        return together("all", found)

    return await _run("all", output, patience, look)


def _bounds(warn: float | None, crit: float | None) -> Bounds:
    if warn is not None and crit is not None and warn > crit:
        raise ValueError(f"the bound of a warning ({warn:g}) lies above the critical one ({crit:g})")
    return Bounds(warn=warn, crit=crit)


async def _bus(yard: YardAddress, bounds: Bounds) -> Verdict:
    settings = yard.settings()
    began = time.monotonic()
    try:
        found = await connect(settings, name="cli-check")
    except BusUnavailableError as error:
        why = await why_unreachable(settings, error.reason)
        return Verdict(check="bus", status=Status.CRITICAL, text=why.message)
    async with found:
        asked = time.monotonic()
        answers = await found.answers(bounds.crit or 2.0)
        took = time.monotonic() - asked
        bad = [one async for one in check_bus(found, mending=False) if one.level is not Level.OK]
    status = bounds.judge(took) if answers else Status.CRITICAL
    if bad:
        failed = any(one.level is Level.FAIL for one in bad)
        status = max(status, Status.CRITICAL if failed else Status.WARNING)
    text = "; ".join(one.message for one in bad) or f"answers in {took * 1000:.1f} ms"
    return Verdict(
        check="bus",
        status=status,
        text=text,
        figures=(
            Figure(name="answer", number=round(took, 4), unit="s", bounds=bounds),
            Figure(name="connect", number=round(asked - began, 4), unit="s"),
        ),
    )


async def _disk(yard: YardAddress, bounds: Bounds) -> Verdict:
    settings, folder = yard.settings(), data_folder()
    async with _connected(yard) as found:
        shares = await stream_shares(found)
    running = running_yard(folder)
    if running is not None and running.url == settings.url:
        usage = shutil.disk_usage(folder)
        shares["store disk"] = 100 * (1 - usage.free / usage.total)
    return judge_shares(shares, bounds)


@asynccontextmanager
async def _connected(yard: YardAddress) -> AsyncGenerator[Bus]:
    async with await connect(yard.settings(), name="cli-check") as found:
        yield found


async def _run(check: str, output: Output, patience: Patience, look: Callable[[], Awaitable[Verdict]]) -> int:
    """One line, whatever happens; what cannot be told is unknown, never well."""
    try:
        async with asyncio.timeout(patience.timeout):
            verdict = await look()
    except TimeoutError:
        text = f"no answer within {patience.timeout:g} s"
        verdict = Verdict(check=check, status=Status.UNKNOWN, text=text)
    except (LorayardError, YardError, ApiError, nats.errors.Error, OSError) as error:
        verdict = Verdict(check=check, status=Status.UNKNOWN, text=str(error) or type(error).__name__)
    if output.json:
        print_json(verdict.document())
    else:
        print_text(verdict.line)
    return verdict.status
