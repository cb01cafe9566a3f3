"""An export: audit records as they were stored, byte for byte, in a file of JSON lines.

The first line says which stream they are of, each further one is a record (its body in base64), and the last
one says how many there are: a file without it was cut. It is written beside its place and moved there when it
is whole. One that was interrupted goes on where it ended.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_shared.audit.verifying import NO_HEADS, Fault, FaultKind, Head, Report, Seen, Verifier
from lorayard_shared.bus.scanning import Lying

JsonMap = dict[str, Any]

FORMAT = 1
HEADERS = (CHAIN, CHAIN_FROM)
MOST_LINE_BYTES = 4 * 2**20
"""A message holds 1 MiB, and base64 a third more."""


def head_line(stream: str, after: int) -> JsonMap:
    """The first line."""
    return {"lorayard_audit": FORMAT, "stream": stream, "after": after}


def record_line(lying: Lying) -> JsonMap:
    """Of one record."""
    return {
        "sequence": lying.sequence,
        "at": lying.headers.get("Nats-Time-Stamp", ""),
        "subject": lying.subject,
        "headers": {name: lying.headers[name] for name in HEADERS if name in lying.headers},
        "body": base64.b64encode(lying.body).decode(),
    }


def end_line(records: int, last: int) -> JsonMap:
    """The last line."""
    return {"end": True, "records": records, "last": last}


def as_line(document: JsonMap) -> str:
    """As it stands in the file, in ASCII."""
    return json.dumps(document, separators=(",", ":")) + "\n"


class ExportError(ValueError):
    """A file is no export, or not of this stream."""


@dataclass(slots=True, kw_only=True)
class Exporter:
    """Writes one export; `last` is the sequence of the newest record in it."""

    file: Path
    stream: str
    after: int
    last: int = field(default=0, init=False)
    records: int = field(default=0, init=False)
    _out: BinaryIO | None = field(default=None, init=False)

    @property
    def partial(self) -> Path:
        """Where it lies until it is whole."""
        return self.file.with_name(f"{self.file.name}.partial")

    def open(self) -> None:
        """Begin, or go on with what an earlier run left.

        Raises:
            ExportError: there is one already, or what was left is of another stream.
        """
        if self.file.exists():
            raise ExportError(f"{self.file} is there already; name another file")
        self.last = self.after
        kept = self._kept() if self.partial.exists() else 0
        self._out = self.partial.open("r+b" if kept else "wb")
        if kept:
            self._out.seek(kept)
            self._out.truncate()
        else:
            self._line(head_line(self.stream, self.after))

    def write(self, page: list[Lying]) -> None:
        """Some more records."""
        for lying in page:
            self._line(record_line(lying))
            self.last, self.records = lying.sequence, self.records + 1
        if self._out is not None:
            self._out.flush()

    def finish(self) -> None:
        """All are in it: it gets its name."""
        assert self._out is not None, "it was opened"
        self._line(end_line(self.records, self.last))
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        self.partial.replace(self.file)

    def close(self) -> None:
        """What is there stays for the next run."""
        if self._out is not None:
            self._out.close()

    def _line(self, document: JsonMap) -> None:
        assert self._out is not None, "it was opened"
        self._out.write(as_line(document).encode())

    def _kept(self) -> int:
        """How many bytes of an unfinished one are whole lines; sets what is in them."""
        size = 0
        with self.partial.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(MOST_LINE_BYTES), b"")):
                document = _parsed(line) if line.endswith(b"\n") else None
                if document is None or document.get("end"):
                    break
                if number == 0:
                    if document.get("stream") != self.stream or document.get("after") != self.after:
                        raise ExportError(
                            f"{self.partial} was begun for another stream, or another --since; remove it"
                        )
                elif isinstance(document.get("sequence"), int):
                    self.last, self.records = document["sequence"], self.records + 1
                else:
                    break
                size += len(line)
        return size


def verify_file(file: Path, earlier: Mapping[str, Head] = NO_HEADS) -> Report:
    """Whether an export is whole, and its records hang together.

    Raises:
        ExportError: it is none.
        OSError: it cannot be read.
    """
    verifier = Verifier(earlier)
    end: JsonMap | None = None
    broken: list[Fault] = []
    with file.open("rb") as opened:
        lines = iter(lambda: opened.readline(MOST_LINE_BYTES), b"")
        head = _parsed(next(lines, b""))
        if head is None or head.get("lorayard_audit") != FORMAT:
            raise ExportError(f"{file} is no export of audit records")
        for number, line in enumerate(lines, 2):
            document = _parsed(line)
            if document is not None and document.get("end") and end is None:
                end = document
                continue
            seen = _seen(document)
            if seen is None or end is not None:
                broken.append(Fault(kind=FaultKind.CHANGED, sequence=0, text=f"line {number} is no record"))
            else:
                verifier.see(seen)
    last = int(end["last"]) if end is not None and str(end.get("last")).isdecimal() else None
    report = verifier.end(last_sequence=last)
    if end is None:
        broken.append(Fault(kind=FaultKind.TRUNCATED, sequence=0, text="the end of the file is missing"))
    elif end.get("records") != report.records:
        text = f"it has {report.records} records, and says that it had {end.get('records')}"
        broken.append(Fault(kind=FaultKind.TRUNCATED, sequence=0, text=text))
    report.faults[:0] = broken
    return report


def _seen(document: JsonMap | None) -> Seen | None:
    if document is None:
        return None
    try:
        headers = dict(document["headers"])
        return Seen(
            sequence=int(document["sequence"]),
            subject=str(document["subject"]),
            chain=headers.get(CHAIN),
            restart=headers.get(CHAIN_FROM),
            body=base64.b64decode(document["body"], validate=True),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _parsed(line: bytes) -> JsonMap | None:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]
