"""A document's summary as markdown, and names for the files of many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final
from unicodedata import normalize

from lorayard.summarize.record import DocumentRecord

NAME_BYTES: Final = 200
"""Of a file's name: file systems take 255, and something is put behind it."""

_LINE_END: Final = re.compile(r"[\r\n\t\x00-\x1f]+")
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|])")


def one_line(text: str) -> str:
    """Text that may have line ends in it, as a file's name can."""
    return _LINE_END.sub(" ", text).strip()


def plain(text: str) -> str:
    """Text that is to stand in markdown as it is."""
    return _MARKUP.sub(r"\\\1", one_line(text))


def page(record: DocumentRecord) -> str:
    """One document."""
    lines = [f"# {plain(record.title or record.name)}", ""]
    if record.error is not None:
        lines += [f"No summary: {plain(record.error['message'])}", ""]
    else:
        lines += [record.summary or "", ""]
        lines += [*(f"- {one_line(point)}" for point in unsaid(record)), ""]
    lines += [f"Source: {plain(record.path)}", ""]
    if record.error is None:
        lines.append(f"By {maker(record)}, from {record.tokens} tokens in {record.chunks} parts.\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def unsaid(record: DocumentRecord) -> tuple[str, ...]:
    """Key points that do not stand in the summary already, as those of a list do."""
    return tuple(point for point in record.key_points if point not in (record.summary or ""))


def maker(record: DocumentRecord) -> str:
    """Who wrote it."""
    if record.adapter is None:
        return "the base model"
    return f"{record.adapter}, version {record.version}"


class FileNames:
    """A file for each document in a tree like theirs, no two the same, not even where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, source: str) -> PurePath:
        """`docs/a.txt` becomes `docs/a.txt.md`, and a second one of that name `docs/a.txt.2.md`."""
        parts = [_safe(part) for part in PurePath(source).parts if part not in ("/", "..")] or ["document"]
        above = [_folder(part) for part in parts[:-1]]
        number = 1
        while True:
            last = f"{parts[-1]}.md" if number == 1 else f"{parts[-1]}.{number}.md"
            made = PurePath(*above, last)
            if (key := normalize("NFC", str(made).casefold())) not in self._taken:
                self._taken.add(key)
                return made
            number += 1


def _folder(part: str) -> str:
    """A file `a` becomes `a.md`, and beside it there may be a folder of that name."""
    return f"{part}_" if part.casefold().endswith(".md") else part


def _safe(part: str) -> str:
    cleaned = one_line(part).encode("utf-8", errors="replace")[:NAME_BYTES].decode("utf-8", errors="ignore")
    return cleaned if cleaned not in ("", ".", "..") else "_"  # ` ..` is no name to climb by


def quoted(text: str) -> Iterator[str]:
    """Lines of a summary, as they may stand in a list item."""
    for line in text.strip().splitlines():
        if line.strip():
            yield line.strip()
