"""`lorayard dead`: jobs that the yard gave up."""

from __future__ import annotations

import base64
import re
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from lorayard.client import Client
from lorayard.dead.letter import DeadQuery, Letter
from lorayard.dead.redriving import Redriven, RedriveOutcome
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.moments import read_moment
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, at_least_one
from lorayard_cli.output import note, out, plain, print_json, print_text, table

REASON_CHARACTERS = 60
LISTED = 100
"""In a terminal, where no limit is given."""

NUMBER_DIGITS = 18
"""More is no number of a stream."""

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DONE = frozenset({RedriveOutcome.REDRIVEN, RedriveOutcome.BEFORE, RedriveOutcome.ANSWERED})


def read_time(text: str, now: float) -> float:
    """Unix seconds: of a moment, or so long ago (`90m`, `2h`, `7d`).

    Raises:
        ValueError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    return now - float(ago[1]) * _UNIT_SECONDS[ago[2]] if ago is not None else read_moment(text)


def _time(_kind: object, text: str | None) -> None:
    if text is not None:
        read_time(text, time.time())


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which letters are meant: those that fit all that is given."""

    tenant: str | None = None
    """Of this tenant."""
    adapter: str | None = None
    """Of jobs that named this adapter; without @version, any version of it."""
    code: str | None = None
    """Given up for this reason, as `ls` shows it."""
    since: Annotated[str | None, Parameter(validator=_time)] = None
    """Given up then or later: a moment as 2026-12-01T07:00, or so long ago: 90m, 2h, 7d."""
    until: Annotated[str | None, Parameter(validator=_time)] = None
    """Given up before."""
    limit: Annotated[int | None, Parameter(validator=at_least_one)] = None
    """No more than so many, the oldest first."""

    def query(self) -> DeadQuery:
        """As the client takes it."""
        now, query = time.time(), DeadQuery()
        if self.tenant is not None:
            query["tenant"] = self.tenant
        if self.adapter is not None:
            query["adapter"] = self.adapter
        if self.code is not None:
            query["code"] = self.code
        if self.since is not None:
            query["since"] = read_time(self.since, now)
        if self.until is not None:
            query["until"] = read_time(self.until, now)
        if self.limit is not None:
            query["limit"] = self.limit
        return query


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """When no letters are named."""

    all: Annotated[bool, Parameter(negative="")] = False
    """Every letter, where nothing else says which."""
    yes: Annotated[bool, Parameter(negative="")] = False
    """Do not ask."""


EVERY = Which()
ASKING = Bulk()


async def ls(*, which: Which = EVERY, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List dead letters, the oldest first. With --json one line for each, however many."""
    query = which.query()
    async with client(yard) as connected:
        if output.json:
            async with aclosing(connected.dead.all(**query)) as found:
                async for letter in found:
                    print_json(_document(letter))
            return
        listed = query.setdefault("limit", LISTED)
        letters = await connected.dead.list(**query)
    if not letters:
        note("no dead letters")
        return
    shown = table(
        "letter", "given up", "tenant", "adapter", "job", "code", "tries", "reason", right=("letter",)
    )
    for letter in letters:
        reason = letter.reason if len(letter.reason) <= REASON_CHARACTERS else f"{letter.reason[:57]}..."
        named = (letter.tenant or "-", letter.adapter or "-", letter.job or "-", letter.code)
        shown.add_row(
            str(letter.number), _moment(letter.at), *map(plain, named), _tries(letter), plain(reason)
        )
    out().print(shown)
    if which.limit is None and len(letters) == listed:
        note(f"the oldest {listed} are shown; --limit shows more, and --json all")


async def show(letter: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show a dead letter: why it was given up, what was tried, and the job.

    Parameters
    ----------
    letter
        Its number, as `ls` shows it, or the id of its job.
    """
    async with client(yard) as connected:
        found = await connected.dead.show(_named(letter))
    document = _document(found) | {"work": _work(found)}
    if output.json:
        print_json(document)
        return
    print_text(f"letter {found.number}: job {found.job or '-'} of tenant {found.tenant or '-'}")
    print_text(f"given up {_moment(found.at)} UTC: {found.reason} ({found.code})")
    print_text(f"came by {found.told.subject}, given out {_times(found.told.deliveries)}")
    for one in found.attempts:
        waited = f", tried again after {one.waited_seconds:.1f} s" if one.waited_seconds is not None else ""
        told = f"attempt {one.attempt} at {one.worker or '-'}: {one.message} ({one.code}){waited}"
        print_text(f"  {_moment(one.at)}  {told}")
    print_json(document["work"])


async def redrive(
    *letters: str,
    to_adapter: str | None = None,
    which: Which = EVERY,
    bulk: Bulk = ASKING,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Try the jobs of dead letters again, each once and under a new id, which is printed.

    Ends with 1 when one of them could not be. With --json one line for each.

    Parameters
    ----------
    letters
        Their numbers, or the ids of their jobs; else those that the options mean.
    to_adapter
        Send them to this adapter instead.
    """
    counted = dict.fromkeys(RedriveOutcome, 0)
    async with client(yard) as connected:
        reports = await _redriven(connected, letters, which, bulk, to_adapter)
        async with aclosing(reports):
            async for report in reports:
                counted[report.outcome] += 1
                _tell(report, output)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counted.items() if count)
    note(told or "no dead letters")
    return (
        ExitCode.OK
        if all(outcome in _DONE or not count for outcome, count in counted.items())
        else ExitCode.FAILED
    )


async def purge(
    *letters: str,
    which: Which = EVERY,
    bulk: Bulk = ASKING,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Throw dead letters away, for good. Their failed results stay. With --json one line for each.

    Parameters
    ----------
    letters
        Their numbers, or the ids of their jobs; else those that the options mean.
    """
    count = 0
    async with client(yard) as connected:
        if letters:
            _only_named(which, bulk)
            found = _purge_named(connected, letters)
        else:
            await _confirm(connected, which, bulk, "throw away")
            found = connected.dead.purge_all(**which.query())
        async with aclosing(found):
            async for letter in found:
                count += 1
                if output.json:
                    print_json({"purged": _document(letter)})
    note(f"{count} purged" if count else "no dead letters")


async def _redriven(
    connected: Client, letters: Sequence[str], which: Which, bulk: Bulk, to_adapter: str | None
) -> AsyncGenerator[Redriven]:
    if letters:
        _only_named(which, bulk)
        return _redrive_named(connected, letters, to_adapter)
    await _confirm(connected, which, bulk, "redrive")
    return connected.dead.redrive_all(to_adapter=to_adapter, **which.query())


async def _redrive_named(
    connected: Client, letters: Sequence[str], to_adapter: str | None
) -> AsyncGenerator[Redriven]:
    for letter in letters:
        yield await connected.dead.redrive(_named(letter), to_adapter=to_adapter)


async def _purge_named(connected: Client, letters: Sequence[str]) -> AsyncGenerator[Letter]:
    for letter in letters:
        yield await connected.dead.purge(_named(letter))


def _named(letter: str) -> int | str:
    return int(letter) if letter.isdecimal() and len(letter) <= NUMBER_DIGITS else letter


def _only_named(which: Which, bulk: Bulk) -> None:
    if which != EVERY or bulk.all:
        raise CommandError(
            ExitCode.USAGE,
            "usage",
            "name letters, or say by options which are meant, not both",
            field="letters",
        )


async def _confirm(connected: Client, which: Which, bulk: Bulk, verb: str) -> None:
    """Ask, where letters are not named one by one; a script says --yes."""
    if which == EVERY and not bulk.all:
        raise CommandError(
            ExitCode.USAGE,
            "usage",
            "which letters? Name them, or say by options; --all means every one",
            field="letters",
        )
    if bulk.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(
            ExitCode.USAGE,
            "usage",
            f"to {verb} letters that are not named one by one, add --yes",
            field="yes",
        )
    count = 0
    async with aclosing(connected.dead.all(**which.query())) as found:
        async for _ in found:
            count += 1
    note(f"{verb} {_letters(count)}? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(ExitCode.INTERRUPTED, "interrupted", "nothing was done")


def _tell(report: Redriven, output: Output) -> None:
    if output.json:
        print_json(
            {
                "letter": report.number,
                "job": report.job,
                "outcome": report.outcome.value,
                "new_job": report.new_job,
                "reason": report.reason or None,
            }
        )
    else:
        end = report.new_job or report.reason
        print_text(f"letter {report.number}, job {report.job or '-'}: {report.outcome}: {end}")


def _document(letter: Letter) -> dict[str, Any]:
    told = letter.told.model_dump(mode="json", exclude={"body", "v"})
    return {"letter": letter.number, **told}


def _work(letter: Letter) -> Any:
    work = letter.work()
    if work is not None:
        return work.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    return {"base64": base64.b64encode(letter.told.body).decode()}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _tries(letter: Letter) -> str:
    return str(len(letter.attempts)) if letter.attempts else "-"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
