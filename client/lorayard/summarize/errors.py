"""What can go wrong while documents are summarized.

SummarizeError
  DocumentError        a document gives no text, or no summary: it is listed, and stops no other
  OutputInUseError     caller: another process writes to the same place
  OutputError          operator: the place cannot be written
  CacheError           operator: what is kept between runs cannot be read or written
"""

from __future__ import annotations

from pathlib import Path

from lorayard.errors import LorayardError


class SummarizeError(LorayardError):
    """Documents cannot be summarized."""


class DocumentError(SummarizeError):
    """One document has no summary, and why."""

    def __init__(self, reason: str, *, code: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class OutputInUseError(SummarizeError):
    """Another process writes to the same place."""

    def __init__(self, place: Path) -> None:
        super().__init__(f"another run writes to {place}; wait for it, or choose another place with --out")
        self.place = place


class OutputError(SummarizeError):
    """The place cannot be written."""

    def __init__(self, place: Path, reason: str) -> None:
        super().__init__(f"{place} cannot be written: {reason}")
        self.place = place
        self.reason = reason


class CacheError(SummarizeError):
    """What is kept between runs cannot be read or written."""

    def __init__(self, place: Path, reason: str) -> None:
        super().__init__(f"the cache in {place} cannot be used: {reason}; choose another with --cache")
        self.place = place
        self.reason = reason
