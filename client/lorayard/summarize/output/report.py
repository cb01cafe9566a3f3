"""One report for a person: what is in the documents, folder by folder, and which ones gave nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import PurePath

from lorayard.summarize.output.markdown import maker, one_line, plain, quoted, unsaid
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.tally import Tally

LISTED = 5
"""Copies of a text that are named; the rest are counted."""


def as_report(records: Iterator[DocumentRecord], tally: Tally) -> Iterator[str]:
    """Markdown. Each text stands once, with the names of its copies."""
    kept = list(records)
    good = [record for record in kept if record.error is None]
    copies = _by_content(good)
    yield f"# Summaries of {len(good)} documents\n\n"
    yield from _about(good, copies, len(kept) - len(good), tally)
    for folder, inside in groupby(_firsts(good), key=_folder):
        yield f"\n## {plain(folder)}\n\n"
        for record in inside:
            yield from _entry(record, copies[record.content or record.path])
    yield from _problems([record for record in kept if record.error is not None])


def _about(
    good: list[DocumentRecord], copies: dict[str, list[DocumentRecord]], failed: int, tally: Tally
) -> Iterator[str]:
    tokens = sum(record.tokens or 0 for record in good)
    repeated = len(good) - len(copies)
    yield f"{tokens:,} tokens were read"
    yield f"; {repeated} documents are copies of others" if repeated else ""
    yield f"; {failed} have no summary, and stand at the end" if failed else ""
    makers = Counter(maker(record) for record in good)
    yield ".\n" + "".join(f"Written by {plain(name)}.\n" for name in makers)
    if tally.kept:
        yield f"{tally.kept} were done by an earlier run.\n"


def _by_content(records: list[DocumentRecord]) -> dict[str, list[DocumentRecord]]:
    found: dict[str, list[DocumentRecord]] = {}
    for record in records:
        found.setdefault(record.content or record.path, []).append(record)
    return found


def _firsts(records: list[DocumentRecord]) -> Iterator[DocumentRecord]:
    seen: set[str] = set()
    for record in records:
        key = record.content or record.path
        if key not in seen:
            seen.add(key)
            yield record


def _folder(record: DocumentRecord) -> str:
    parent = str(PurePath(record.name).parent)
    return "Files" if parent == "." else parent


def _entry(record: DocumentRecord, copies: list[DocumentRecord]) -> Iterator[str]:
    name = PurePath(record.name).name
    title = f"**{plain(record.title)}** ({plain(name)})" if record.title else f"**{plain(name)}**"
    lines = list(quoted(record.summary or ""))
    if len(lines) == 1:
        yield f"- {title}: {lines[0]}\n"
    else:
        yield f"- {title}\n"
        yield "".join(f"  {line}\n" for line in lines)
    yield "".join(f"  - {one_line(point)}\n" for point in unsaid(record))
    if len(copies) > 1:
        others = [plain(str(PurePath(copy.name))) for copy in copies[1 : 1 + LISTED]]
        more = len(copies) - 1 - len(others)
        yield f"  Copies: {', '.join(others)}{f' and {more} more' if more else ''}\n"


def _problems(records: list[DocumentRecord]) -> Iterator[str]:
    if not records:
        return
    yield "\n## Without a summary\n\n"
    for record in records:
        assert record.error is not None
        yield f"- {plain(record.path)}: {plain(record.error['message'])}\n"
