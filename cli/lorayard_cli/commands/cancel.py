"""`lorayard cancel`: end jobs, by their ids or by what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from lorayard import CancelQuery, CancelReport, LorayardError
from lorayard.cancel_many import MOST
from lorayard_cli.connection import client
from lorayard_cli.durations import duration, read_duration
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, at_least_one
from lorayard_cli.output import note, print_json, print_text
from lorayard_schemas.assignment import CancelOutcome

MOST_NAMED = 5
"""Jobs of one error that are named on a terminal; `--json` has all."""

_SAID = {
    CancelOutcome.CANCELLED: "is cancelled",
    CancelOutcome.FINISHED: "had finished before; its result stands",
    CancelOutcome.UNKNOWN: "is not known: a wrong id, another tenant's (--tenant), or forgotten since",
}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Instead of ids: the unfinished jobs of the tenant that fit all of these."""

    adapter: str | None = None
    """That name this adapter: any version, or one as name@version; base for the base model."""
    named: str | None = None
    """That name just this: of a plain name not those that name a version of it, or an alias."""
    lane: Literal["urgent", "high", "normal", "bulk"] | None = None
    """Of this lane."""
    session: str | None = None
    """Of this session."""
    older_than: Annotated[str | None, Parameter(validator=duration)] = None
    """Published longer ago: 90s, 10m, 2h or 1d."""
    all: Annotated[bool, Parameter(negative="")] = False
    """Every unfinished job of the tenant."""

    def read(self) -> CancelQuery | None:
        """What is asked; None: nothing."""
        given = (self.adapter, self.named, self.lane, self.session, self.older_than)
        if not self.all and not any(given):
            return None
        seconds = None if self.older_than is None else read_duration(self.older_than)
        return CancelQuery(
            adapter=self.adapter,
            named=self.named,
            lane=self.lane,
            session=self.session,
            older_than_seconds=seconds,
        )


NOTHING = Query()


async def cancel(
    *jobs: str,
    query: Query = NOTHING,
    most: Annotated[int, Parameter(validator=at_least_one)] = MOST,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    tenant: str | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Cancel jobs, in whatever state. Ends with 1 when one had finished before, or is not known.

    Parameters
    ----------
    jobs
        The ids that `submit` printed.
    most
        With a query: at most so many, the oldest.
    dry_run
        With a query: only say how many fit.
    tenant
        Whose jobs; else LORAYARD_TENANT, else `default`.
    """
    asked = query.read()
    if bool(jobs) is (asked is not None):
        raise CommandError(
            ExitCode.USAGE,
            "usage",
            "name jobs, or say which: --adapter, --named, --lane, --session, --older-than, --all",
        )
    async with client(yard, tenant=tenant) as connected:
        if asked is None:
            report = await connected.cancel_many(jobs)
        else:
            report = await connected.cancel_where(asked, most=most, dry_run=dry_run)
    if dry_run:
        _show_fits(report, output)
        return ExitCode.OK
    _show(report, output, one_by_one=bool(jobs))
    worst = next(iter(report.errors.values()), None)
    if worst is not None:
        raise worst
    wanted = len(report.outcomes) if asked is None else 0
    return ExitCode.OK if report.count(CancelOutcome.CANCELLED) >= wanted else ExitCode.FAILED


def _show(report: CancelReport, output: Output, *, one_by_one: bool) -> None:
    if output.json:
        print_json(_document(report, one_by_one=one_by_one))
        return
    if one_by_one:
        for job, outcome in report.outcomes.items():
            if not isinstance(outcome, LorayardError):
                print_text(f"job {job} {_SAID[outcome]}")
    else:
        ended = report.count(CancelOutcome.CANCELLED)
        finished = report.count(CancelOutcome.FINISHED)
        late = f", {finished} had finished meanwhile" if finished else ""
        unknown = report.count(CancelOutcome.UNKNOWN)
        lost = f", of {unknown} it is not known" if unknown else ""
        print_text(f"cancelled {ended} of {len(report.outcomes)} jobs{late}{lost}")
    for error, jobs in _by_error(report).items():
        named = ", ".join(jobs[:MOST_NAMED])
        more = f" and {len(jobs) - MOST_NAMED} more" if len(jobs) > MOST_NAMED else ""
        note(f"job {named}{more}: {error}")
    if report.beyond:
        note(f"{report.beyond} more fit, and were left alone; --most allows more")


def _by_error(report: CancelReport) -> dict[str, list[str]]:
    """Jobs by what was said of them: of thousands it is mostly the same."""
    jobs: dict[str, list[str]] = {}
    for job, error in report.errors.items():
        jobs.setdefault(str(error), []).append(job)
    return jobs


def _document(report: CancelReport, *, one_by_one: bool) -> dict[str, object]:
    outcomes = {
        job: "error" if isinstance(outcome, LorayardError) else outcome.value
        for job, outcome in report.outcomes.items()
    }
    if one_by_one and len(outcomes) == 1:
        ((job, outcome),) = outcomes.items()
        return {"job": job, "outcome": outcome}
    return {
        "jobs": [{"job": job, "outcome": outcome} for job, outcome in outcomes.items()],
        "beyond": report.beyond,
    }


def _show_fits(report: CancelReport, output: Output) -> None:
    if output.json:
        print_json({"fit": list(report.outcomes), "beyond": report.beyond})
    else:
        print_text(f"{len(report.outcomes) + report.beyond} jobs fit; nothing was cancelled")
