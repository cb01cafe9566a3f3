"""What the publisher knows: a line for each fact, written before it goes on, so that a kill loses nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Entry:
    """What was written of one order."""

    submitted_at: float | None = None
    """Unix seconds, just before the first try."""
    accepted_at: float | None = None
    """Unix seconds, when the yard had confirmed it; None: it never had."""
    existing: int = 0
    """How often a submit found that the yard had the job."""
    conflicts: int = 0
    """How often another body under the same key was refused."""
    cancels: list[str] = field(default_factory=list[str])
    """What cancelling it was answered."""
    streamed: str | None = None
    """What was wrong with what its stream told; empty: nothing. None: it was not read to its end."""
    text: str | None = None
    """What its asker was answered, where that was kept."""


class Journal:
    """Appends to a file and reads it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(self._file, b"\n")  # behind what a killed one may have left half written

    def write(self, key: str, **facts: Any) -> None:
        """One fact or several about an order."""
        os.write(self._file, json.dumps({"key": key, **facts}).encode() + b"\n")

    def finish(self) -> None:
        """All that was to be done is done."""
        self.write("", done=True)


def read_journal(path: Path) -> tuple[dict[str, Entry], bool]:
    """What is known by order, and whether all is done."""
    entries: dict[str, Entry] = {}
    done = False
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            fact: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # its writer was killed
        done = done or "done" in fact
        if fact["key"]:
            _note(entries.setdefault(fact["key"], Entry()), fact)
    return entries, done


def _note(entry: Entry, fact: dict[str, Any]) -> None:
    if entry.submitted_at is None:
        entry.submitted_at = fact.get("submitted_at")
    if entry.accepted_at is None:
        entry.accepted_at = fact.get("accepted_at")
    entry.existing += bool(fact.get("existing"))
    entry.conflicts += "conflict" in fact
    if "cancel" in fact:
        entry.cancels.append(fact["cancel"])
    if "streamed" in fact:
        entry.streamed = fact["streamed"]
    entry.text = fact.get("text", entry.text)
