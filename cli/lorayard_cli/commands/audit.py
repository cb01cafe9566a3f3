"""`lorayard audit`: who decided and did what; exported, and whether it is all there and unchanged."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lorayard_cli.auditing.export_file import Exporter, ExportError, verify_file
from lorayard_cli.auditing.record_lines import Wanted, read_record, sentence, who
from lorayard_cli.durations import read_duration
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.moments import read_moment
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_schemas.audit import AuditKind
from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_schemas.names import subject_token
from lorayard_shared.audit.verifying import NO_HEADS, Head, Report, Seen, Verifier
from lorayard_shared.bus.connection import ApiError, Bus, connect
from lorayard_shared.bus.scanning import Lying, last_sequence, sequence_before, walk

SHOWN = 1000
"""Records that a table holds where no limit is given."""


def _when(_kind: object, text: str | None) -> None:
    if text is not None:
        _read_when(text)


def _read_when(text: str) -> float:
    """Unix seconds: so long ago, or a time.

    Raises:
        ValueError: it is neither.
    """
    try:
        return time.time() - read_duration(text) if text[-1:] in "smhd" else read_moment(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no time: write 2h (ago), 1d, 2026-12-01T07:00 or unix seconds"
        ) from error


When = Annotated[str | None, Parameter(validator=_when)]


async def ls(
    *,
    job: str | None = None,
    adapter: str | None = None,
    tenant: str | None = None,
    worker: str | None = None,
    kind: AuditKind | None = None,
    since: When = None,
    until: When = None,
    limit: int = SHOWN,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """List audit records, the oldest first: a table, or with --json a line for each. No prompt is in any.

    Parameters
    ----------
    job
        Of this job.
    adapter
        About this adapter, or this version of it.
    tenant
        About jobs of this tenant.
    worker
        About this worker.
    kind
        Only these.
    since
        How long ago at most (2h, 1d), or from which time on.
    until
        The same for the end.
    limit
        Of a table, so many at most; all are printed as JSON.
    """
    end = _read_when(until) if until is not None else None
    wanted = Wanted(job=job, adapter=adapter, tenant=tenant, worker=worker, kind=kind, until=end)
    shown, count = table("at", "kind", "by", "what"), 0
    async with await connect(yard.settings(), name="cli-audit") as bus:
        async for lying in _lying(bus, _pattern(bus, wanted), since):
            record = read_record(lying)
            if not wanted.fits(record):
                continue
            count += 1
            if output.json:
                print_json(record)
            elif count <= limit:
                shown.add_row(*map(plain, (_at(record), record["kind"], who(record), sentence(record))))
    if not output.json:
        _tell(shown, count, limit)
    return ExitCode.OK


def _tell(shown: Any, count: int, limit: int) -> None:
    if not count:
        note("no audit record fits, as far back as they are kept")
        return
    out().print(shown)
    if count > limit:
        note(f"{count - limit} more: --limit, --since, or --json for all")


def _pattern(bus: Bus, wanted: Wanted) -> str:
    """What the server sorts out itself."""
    subjects = bus.subjects
    kind = wanted.kind or "*"
    if wanted.job is not None:
        tenant = "*" if wanted.tenant is None else subject_token(wanted.tenant)
        return f"{subjects.prefix}.audit.{kind}.{tenant}.{subject_token(wanted.job)}"
    if wanted.tenant is not None:
        return f"{subjects.prefix}.audit.{kind}.{subject_token(wanted.tenant)}.*"
    return subjects.audit if wanted.kind is None else f"{subjects.prefix}.audit.{kind}.>"


async def _lying(bus: Bus, pattern: str, since: str | None) -> AsyncGenerator[Lying]:
    stream = bus.subjects.stream("audit")
    try:
        after = 0 if since is None else await sequence_before(bus, stream, _read_when(since))
        until = await last_sequence(bus, stream)
    except ApiError as error:
        raise CommandError(ExitCode.NOT_READY, "no_yard", f"{stream}: {error.description}") from error
    async for page in walk(bus, stream, pattern, until=until, after=after):
        for lying in page:
            if lying.sequence <= until:
                yield lying


def _at(record: dict[str, Any]) -> str:
    at = record.get("at")
    if not isinstance(at, int | float):
        return "-"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return "-"


async def export(
    file: Path, *, since: When = None, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Write all records to a file, byte for byte; one that was interrupted goes on where it ended.

    Parameters
    ----------
    file
        A new file; it is there when it is whole.
    since
        How long ago at most (2h, 1d), or from which time on.
    """
    settings = yard.settings()
    stream = settings.subjects.stream("audit")
    async with await connect(settings, name="cli-audit") as bus:
        try:
            after = 0 if since is None else await sequence_before(bus, stream, _read_when(since))
            exporter = Exporter(file=file, stream=stream, after=after)
            exporter.open()
        except ExportError as error:
            raise CommandError(ExitCode.BAD_INPUT, "bad_export", str(error), field="file") from error
        except ApiError as error:
            raise CommandError(ExitCode.NOT_READY, "no_yard", f"{stream}: {error.description}") from error
        try:
            until = await last_sequence(bus, stream)
            async for page in walk(bus, stream, bus.subjects.audit, until=until, after=exporter.last):
                exporter.write([lying for lying in page if lying.sequence <= until])
            exporter.finish()
        finally:
            exporter.close()
    if output.json:
        print_json({"file": str(file), "records": exporter.records, "last": exporter.last})
    else:
        print_text(f"{exporter.records} records in {file}")


async def verify(
    file: Path | None = None,
    *,
    heads: Path | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Say whether all records are there, in their order and unchanged: of the stream, or of an export.

    Ends with 1 when something is wrong.

    Parameters
    ----------
    file
        An export; the stream when absent.
    heads
        What an earlier run with --json printed: its last records have to be there still, or cut off.
    """
    try:
        earlier = NO_HEADS if heads is None else _heads(heads)
        report = verify_file(file, earlier) if file is not None else await _verify_stream(yard, earlier)
    except ExportError as error:
        raise CommandError(ExitCode.BAD_INPUT, "bad_export", str(error), field="file") from error
    if output.json:
        print_json(_document(report))
    else:
        _print(report)
    return ExitCode.OK if report.sound else ExitCode.FAILED


def _heads(file: Path) -> dict[str, Head]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))["heads"]
        return {
            str(name): Head(number=int(one["number"]), hash=str(one["hash"]), sequence=int(one["sequence"]))
            for name, one in told.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{file} is not what `lorayard audit verify --json` prints"
        raise CommandError(ExitCode.BAD_INPUT, "bad_heads", message, field="heads") from error


async def _verify_stream(yard: YardAddress, earlier: Mapping[str, Head]) -> Report:
    verifier = Verifier(earlier)
    async with await connect(yard.settings(), name="cli-audit") as bus:
        stream = bus.subjects.stream("audit")
        try:
            until = await last_sequence(bus, stream)
        except ApiError as error:
            raise CommandError(ExitCode.NOT_READY, "no_yard", f"{stream}: {error.description}") from error
        async for page in walk(bus, stream, bus.subjects.audit, until=until):
            for lying in page:
                if lying.sequence <= until:
                    verifier.see(
                        Seen(
                            sequence=lying.sequence,
                            subject=lying.subject,
                            chain=lying.headers.get(CHAIN),
                            restart=lying.headers.get(CHAIN_FROM),
                            body=lying.body,
                        )
                    )
    return verifier.end(last_sequence=until if verifier.report.records else None)


def _document(report: Report) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "records": report.records,
        "writers": report.writers,
        "restarts": report.restarts,
        "lost": report.lost,
        "cut": report.cut,
        "unchained": report.unchained,
        "faults": [
            {"kind": one.kind.value, "sequence": one.sequence, "text": one.text} for one in report.faults
        ],
        "more_faults": report.more_faults,
        "heads": {
            name: {"number": one.number, "hash": one.hash, "sequence": one.sequence}
            for name, one in report.heads.items()
        },
    }


def _print(report: Report) -> None:
    print_text(f"{report.records} records of {report.writers} writers")
    for count, text in (
        (report.cut, "cut off at the old end, as retention does"),
        (report.lost, "lost before they were stored, as their writers say"),
        (report.unchained, "of an older release, in no chain"),
    ):
        if count:
            print_text(f"{count} {text}")
    for fault in report.faults:
        place = f"at {fault.sequence}: " if fault.sequence else ""
        print_text(f"{fault.kind.value}: {place}{fault.text}")
    if report.more_faults:
        print_text(f"and {report.more_faults} more faults")
    print_text("sound: none is missing, changed or moved" if report.sound else "NOT sound")
