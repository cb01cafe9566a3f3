"""Whether records are all there, in their order, and as they were written: pure, record by record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from lorayard_shared.audit.chain import Link, Restart, beginning, hash_of
from lorayard_shared.value import value

MOST_FAULTS = 1_000
"""Kept in full; the rest are counted."""


class FaultKind(StrEnum):
    """What can be wrong."""

    CHANGED = "changed"
    """Its bytes, subject or header are not those that were written."""
    REPLACED = "replaced"
    """It follows another record than the one that stands before it."""
    GAP = "gap"
    """Records of a writer are missing that somebody wrote: taken away, or never stored."""
    DELETED = "deleted"
    """Places in the stream are empty, that were not cut off at its old end."""
    TRIMMED = "trimmed"
    """The oldest are gone, though neither age nor size of the stream was a reason to let them go."""
    MOVED = "moved"
    """It stands behind a later record of its writer."""
    TWICE = "twice"
    """It is there a second time."""
    UNCHAINED = "unchained"
    """It has no place in any chain, though chained ones stand before it."""
    TRUNCATED = "truncated"
    """The end is missing."""


@value
class Fault:
    """One thing that is wrong."""

    kind: FaultKind
    sequence: int
    """In the stream: where it shows."""
    text: str


@value
class Seen:
    """One record as it lies in a stream or a file."""

    sequence: int
    subject: str
    chain: str | None
    """Its header."""
    restart: str | None
    body: bytes
    at: str = ""
    """When it was stored, as the server writes it."""


@value
class Head:
    """The last record of a writer."""

    number: int
    hash: str
    sequence: int


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found."""

    records: int = 0
    first_sequence: int = 0
    first_at: str = ""
    writers: int = 0
    restarts: int = 0
    """Chains that go on from one that ended in doubt."""
    unchained: int = 0
    """Records of an older release, before the first that is chained."""
    cut: int = 0
    """Records of chains whose beginning is cut off at the old end."""
    lost: int = 0
    """That writers themselves say were lost, or may be."""
    faults: list[Fault] = field(default_factory=list[Fault])
    more_faults: int = 0
    heads: dict[str, Head] = field(default_factory=dict[str, Head])

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@value
class _Gap:
    """Numbers of a writer that were not seen, both ends included; `sequence` is of what came behind."""

    first: int
    last: int
    sequence: int


@dataclass(slots=True, kw_only=True)
class _Writer:
    last: Link
    sequence: int
    gaps: list[_Gap] = field(default_factory=list["_Gap"])


NO_HEADS: Mapping[str, Head] = MappingProxyType({})


class Verifier:
    """Sees records in the order of the stream, or of an export."""

    def __init__(self, earlier: Mapping[str, Head] = NO_HEADS) -> None:
        """`earlier` is what an earlier report had as heads, kept elsewhere: who rewrites all that is behind a
        record would else leave no trace."""
        self.report = Report()
        self._earlier = earlier
        self._writers: dict[str, _Writer] = {}
        self._restarts: list[tuple[int, Restart]] = []
        self._first = self._last = 0
        self._chained = False

    def see(self, seen: Seen) -> None:
        """The next record."""
        self.report.records += 1
        if not self._first:
            self._first = self.report.first_sequence = seen.sequence
            self.report.first_at = seen.at
        elif seen.sequence <= self._last:
            self._fault(FaultKind.MOVED, seen, f"stands behind record {self._last} of the stream")
        elif seen.sequence > self._last + 1:
            self._deleted(self._last + 1, seen.sequence - 1)
        self._last = max(self._last, seen.sequence)
        if seen.chain is None:
            self._unchained(seen)
            return
        self._chained = True
        link = Link.read(seen.chain)
        if link is None:
            self._fault(FaultKind.CHANGED, seen, "its header cannot be read")
            return
        if hash_of(link.before, link.writer, link.number, seen.subject, seen.body) != link.hash:
            self._fault(FaultKind.CHANGED, seen, f"{_name(link)} is not what was written")
        self._place(seen, link)
        known = self._earlier.get(link.writer)
        if known is not None and known.number == link.number and known.hash != link.hash:
            self._fault(FaultKind.REPLACED, seen, f"{_name(link)} is another than it was")

    def end(self, *, last_sequence: int | None = None) -> Report:
        """All were seen; `last_sequence` is of what was ever stored last, where that is known."""
        if last_sequence is not None and last_sequence > self._last:
            first = self._last + 1 if self._last else last_sequence
            self._deleted(first, last_sequence)
        for sequence, restart in self._restarts:
            self._ended(sequence, restart)
        for name, writer in self._writers.items():
            for gap in writer.gaps:
                count = gap.last - gap.first + 1
                text = f"{count} records of {name} are missing, from number {gap.first} on"
                self._add(Fault(kind=FaultKind.GAP, sequence=gap.sequence, text=text))
        for name, head in self._earlier.items():
            self._missed(name, head)
        self.report.writers = len(self._writers)
        self.report.heads = {
            name: Head(number=one.last.number, hash=one.last.hash, sequence=one.sequence)
            for name, one in self._writers.items()
        }
        self.report.faults.sort(key=lambda fault: fault.sequence)
        return self.report

    def _unchained(self, seen: Seen) -> None:
        if self._chained:
            self._fault(FaultKind.UNCHAINED, seen, f"{seen.subject} belongs to no chain")
        else:
            self.report.unchained += 1

    def _place(self, seen: Seen, link: Link) -> None:
        known = self._writers.get(link.writer)
        if known is None:
            self._begins(seen, link)
            return
        last = known.last
        if link.number > last.number:
            if link.before == last.hash:
                self.report.lost += link.number - last.number - 1  # given up by the writer before sending
            elif link.number == last.number + 1:
                self._fault(FaultKind.REPLACED, seen, f"{_name(link)} follows another {last.number}")
            else:
                known.gaps.append(_Gap(first=last.number + 1, last=link.number - 1, sequence=seen.sequence))
            known.last, known.sequence = link, seen.sequence
        elif _fills(known.gaps, link.number):
            self._fault(FaultKind.MOVED, seen, f"{_name(link)} stands behind {last.number}")
        else:
            self._fault(FaultKind.TWICE, seen, f"{_name(link)} is there a second time")

    def _begins(self, seen: Seen, link: Link) -> None:
        self._writers[link.writer] = _Writer(last=link, sequence=seen.sequence)
        told = seen.restart or ""
        if link.before == beginning(link.writer, told):
            self.report.lost += link.number - 1
            restart = Restart.read(told) if told else None
            if restart is not None:
                self.report.restarts += 1
                self._restarts.append((seen.sequence, restart))
            return
        if link.number == 1:
            self._fault(FaultKind.CHANGED, seen, f"{_name(link)} is not how that chain began")
        elif self._first > 1:
            self.report.cut += link.number - 1
        else:
            gap = _Gap(first=1, last=link.number - 1, sequence=seen.sequence)
            self._writers[link.writer].gaps.append(gap)

    def _ended(self, sequence: int, restart: Restart) -> None:
        """What a new chain says of the one before it."""
        known = self._writers.get(restart.writer)
        seen = known.last.number if known is not None else 0
        if seen < restart.stored and (known is not None or self._first == 1):
            text = f"the end of {restart.writer} is missing: {seen} of {restart.stored} that were stored"
            self._add(Fault(kind=FaultKind.GAP, sequence=sequence, text=text))
        self.report.lost += max(0, restart.sent - max(seen, restart.stored))
        if known is not None:
            self.report.lost += _excuse(known.gaps, restart.stored)

    def _missed(self, name: str, head: Head) -> None:
        """A writer's last record of an earlier look."""
        known = self._writers.get(name)
        number = known.last.number if known is not None else 0
        if number < head.number and (known is not None or not self._first or head.sequence >= self._first):
            text = f"{name} had {head.number} records, and has {number}"
            self._add(Fault(kind=FaultKind.GAP, sequence=head.sequence, text=text))

    def add(self, fault: Fault) -> None:
        """What was found by others, before the end."""
        self._add(fault)

    def _deleted(self, first: int, last: int) -> None:
        many = f"{last - first + 1} records, {first} to {last}" if last > first else f"record {first}"
        self._add(Fault(kind=FaultKind.DELETED, sequence=first, text=f"{many} of the stream: taken away"))

    def _fault(self, kind: FaultKind, seen: Seen, text: str) -> None:
        self._add(Fault(kind=kind, sequence=seen.sequence, text=text))

    def _add(self, fault: Fault) -> None:
        if len(self.report.faults) < MOST_FAULTS:
            self.report.faults.append(fault)
        else:
            self.report.more_faults += 1


def _fills(gaps: list[_Gap], number: int) -> bool:
    """Whether it was missing; it is no more."""
    for place, gap in enumerate(gaps):
        if gap.first <= number <= gap.last:
            rest = (replace(gap, last=number - 1), replace(gap, first=number + 1))
            gaps[place : place + 1] = [part for part in rest if part.first <= part.last]
            return True
    return False


def _excuse(gaps: list[_Gap], stored: int) -> int:
    """How many of the missing were sent behind the last that its writer was sure of. What a connection loses
    need not be the end: what was sent over the next one may still belong to the same chain."""
    excused = 0
    for place, gap in reversed(list(enumerate(gaps))):
        excused += max(0, gap.last - max(gap.first - 1, stored))
        gaps[place : place + 1] = [replace(gap, last=min(gap.last, stored))] if gap.first <= stored else []
    return excused


def _name(link: Link) -> str:
    return f"number {link.number} of {link.writer}"
