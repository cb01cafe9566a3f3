"""What a verification found: for people, and as JSON, which a later one takes as its `--heads`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.output import print_text
from lorayard_shared.audit.keeping import Beginning
from lorayard_shared.audit.verifying import Head, Report
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.value import value


@value
class Earlier:
    """What an earlier run found."""

    heads: dict[str, Head]
    first: Beginning | None = None


def read_earlier(file: Path) -> Earlier:
    """What was printed then.

    Raises:
        CommandError: it is something else.
        OSError: it cannot be read.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        heads = {
            str(name): Head(number=int(one["number"]), hash=str(one["hash"]), sequence=int(one["sequence"]))
            for name, one in told["heads"].items()
        }
        first = told.get("first_sequence"), told.get("first_at")
        if not all(first):
            return Earlier(heads=heads)
        return Earlier(heads=heads, first=Beginning(sequence=int(first[0]), at=server_seconds(str(first[1]))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{file} is not what `lorayard audit verify --json` prints"
        raise CommandError(ExitCode.BAD_INPUT, "bad_heads", message, field="heads") from error


def document(report: Report) -> dict[str, Any]:
    """As JSON."""
    return {
        "sound": report.sound,
        "records": report.records,
        "first_sequence": report.first_sequence,
        "first_at": report.first_at,
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


def tell(report: Report) -> None:
    """In lines."""
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
