"""`lorayard audit`: who decided and did what; exported, and whether it is all there and unchanged."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from lorayard_cli.auditing.export_file import (
    Exporter,
    ExportError,
    as_line,
    end_line,
    head_line,
    record_line,
    verify_file,
)
from lorayard_cli.auditing.record_lines import Wanted, read_records, sentence, who
from lorayard_cli.auditing.stream import bounds, lying_of, verify_stream
from lorayard_cli.auditing.telling import Earlier, document, read_earlier, tell
from lorayard_cli.durations import read_duration
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.moments import read_moment
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_schemas.audit import AuditKind
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.scanning import walk

STDOUT = Path("-")

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
        at = time.time() - read_duration(text) if text[-1:] in "smhd" else read_moment(text)
        if not math.isfinite(at):
            raise ValueError
        return at
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no time: write 2h (ago), 1d, 2026-12-01T07:00 or unix seconds"
        ) from error


def _read_since(text: str | None) -> float | None:
    return None if text is None else _read_when(text)


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
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1))] = SHOWN,
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
        Of a table, so many of the newest; all are printed as JSON.
    """
    end = _read_when(until) if until is not None else None
    wanted = Wanted(job=job, adapter=adapter, tenant=tenant, worker=worker, kind=kind, until=end)
    shown: deque[dict[str, Any]] = deque(maxlen=limit)
    count = 0
    async with await connect(yard.settings(), name="cli-audit") as bus:
        async for lying in lying_of(bus, wanted, _read_since(since)):
            for record in filter(wanted.fits, read_records(lying)):
                count += 1
                if output.json:
                    print_json(record)
                else:
                    shown.append(record)
    if not output.json:
        _show(shown, count)
    return ExitCode.OK


def _show(records: Collection[dict[str, Any]], count: int) -> None:
    if not count:
        note("no audit record fits, as far back as they are kept")
        return
    rows = table("at", "kind", "by", "what")
    for record in records:
        rows.add_row(*map(plain, (_at(record), record["kind"], who(record), sentence(record))))
    out().print(rows)
    if count > len(records):
        note(f"{count - len(records)} earlier ones: --limit, --since, --until, or --json for all")


def _at(record: dict[str, Any]) -> str:
    at = record.get("at")
    if not isinstance(at, int | float):
        return "-"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return "-"


async def export(
    file: Path = STDOUT, *, since: When = None, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Write all records as JSON lines, byte for byte; a file that was interrupted goes on where it ended.

    Parameters
    ----------
    file
        A new file; it is there when it is whole. Standard output when absent.
    since
        How long ago at most (2h, 1d), or from which time on.
    """
    settings = yard.settings()
    stream = settings.subjects.stream("audit")
    async with await connect(settings, name="cli-audit") as bus:
        after, until = await bounds(bus, _read_since(since))
        if file == STDOUT:
            await _export_to_stdout(bus, stream, after, until)
            return
        exporter = Exporter(file=file, stream=stream, after=after)
        try:
            exporter.open()
        except ExportError as error:
            raise CommandError(ExitCode.BAD_INPUT, "bad_export", str(error), field="file") from error
        try:
            async for page in walk(bus, stream, bus.subjects.audit, until=until, after=exporter.last):
                exporter.write([lying for lying in page if lying.sequence <= until])
            exporter.finish()
        finally:
            exporter.close()
    if output.json:
        print_json({"file": str(file), "records": exporter.records, "last": exporter.last})
    else:
        print_text(f"{exporter.records} records in {file}")


async def _export_to_stdout(bus: Bus, stream: str, after: int, until: int) -> None:
    records, last = 0, after
    sys.stdout.write(as_line(head_line(stream, after)))
    async for page in walk(bus, stream, bus.subjects.audit, until=until, after=after):
        for lying in page:
            if lying.sequence <= until:
                sys.stdout.write(as_line(record_line(lying)))
                records, last = records + 1, lying.sequence
        sys.stdout.flush()
    sys.stdout.write(as_line(end_line(records, last)))
    sys.stdout.flush()


async def verify(
    file: Path | None = None,
    *,
    heads: Path | None = None,
    after: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Say whether all records are there, in their order and unchanged: of the stream, or of an export.

    Ends with 0 when they are, and with 1 when something is wrong.

    Parameters
    ----------
    file
        An export; the stream when absent.
    heads
        What an earlier run with --json printed: what was there then has to be there still, or to be too old.
    after
        Look only behind this sequence of the stream: what is wrong before it is known.
    """
    earlier = Earlier(heads={}) if heads is None else read_earlier(heads)
    if file is not None:
        try:
            report = verify_file(file, earlier.heads)
        except ExportError as error:
            raise CommandError(ExitCode.BAD_INPUT, "bad_export", str(error), field="file") from error
    else:
        async with await connect(yard.settings(), name="cli-audit") as bus:
            report = await verify_stream(bus, earlier, after=after)
    if output.json:
        print_json(document(report))
    else:
        tell(report)
    return ExitCode.OK if report.sound else ExitCode.FAILED
