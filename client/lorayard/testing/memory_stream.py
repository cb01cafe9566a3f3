"""One stream as the server keeps it: messages by sequence, and what it judges a publish by.

The twin of a JetStream stream, made from the declaration of the real one (`lorayard_shared.bus.topology`):
subjects, limits, ages, the window of message ids, and the conditions that a publish may bring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lorayard_schemas import headers
from lorayard_shared.bus.topology import NANOSECONDS, StreamDeclaration

MESSAGE_OVERHEAD_BYTES = 22
"""What the server's file store adds to each message."""

STORE_FAILED = 10077
WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_MSG_ID = 10070
KNOWN_IN_BATCH = 10201


class StreamRefusedError(Exception):
    """The stream does not take a message, with the server's own code."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One message as it lies in the stream."""

    sequence: int
    subject: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    """Unix seconds, by the yard's clock."""
    before: int
    """Sequence of the one before it on its subject; 0: none."""

    @property
    def size_bytes(self) -> int:
        """As it counts against the stream's limit."""
        return MESSAGE_OVERHEAD_BYTES + len(self.subject) + len(self.body)

    @property
    def due_at(self) -> float | None:
        """When a schedule is due, unix seconds; None: it is none."""
        said = self.headers.get(headers.SCHEDULE)
        return None if said is None else datetime.fromisoformat(said.removeprefix("@at ").strip()).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The stream's yes."""

    sequence: int
    duplicate: bool = False
    kept: Kept | None = None
    """None: it had the message already."""


class MemoryStream:
    """Messages under the stream's subjects."""

    def __init__(self, declaration: StreamDeclaration) -> None:
        config = declaration.config
        self.name = declaration.name
        self.config = config
        self.subjects: list[str] = config["subjects"]
        self.last_sequence = 0
        self.republish: Mapping[str, str] | None = config.get("republish")
        self._max_bytes: int = config.get("max_bytes", -1)
        self._refuses_new: bool = config["discard"] == "new"
        self._age_seconds: float = config.get("max_age", 0) / NANOSECONDS
        self._window_seconds: float = config.get("duplicate_window", 120 * NANOSECONDS) / NANOSECONDS
        self._kept: dict[int, Kept] = {}
        self._last: dict[str, int] = {}
        """Subject -> sequence of its newest message."""
        self._known: dict[str, tuple[int, float]] = {}
        """Message id -> sequence, and when it came."""

    @property
    def size_bytes(self) -> int:
        """Of all messages."""
        return sum(kept.size_bytes for kept in self._kept.values())

    def __iter__(self) -> Iterator[Kept]:
        return iter(list(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)

    def takes(self, subject: str) -> bool:
        """Whether a publish on it is stored here."""
        return any(matches(pattern, subject) for pattern in self.subjects)

    def publish(self, subject: str, head: Mapping[str, str], body: bytes, *, now: float) -> Taken:
        """Store a message.

        Raises:
            StreamRefusedError: what it says of the stream's state does not hold, or there is no room.
        """
        known = self._known.get(head.get(headers.MSG_ID, ""))
        if known is not None:
            return Taken(sequence=known[0], duplicate=True)
        self._judge(subject, head)
        kept = Kept(
            sequence=self.last_sequence + 1,
            subject=subject,
            headers=dict(head),
            body=body,
            at=now,
            before=self._last.get(subject, 0),
        )
        self._make_room(kept.size_bytes)
        if headers.SCHEDULE in head and kept.before:  # one schedule for each subject: the new one counts
            self.remove(kept.before)
        self._store(kept)
        return Taken(sequence=kept.sequence, kept=kept)

    def check_batch(self, items: list[tuple[str, Mapping[str, str], bytes]]) -> None:
        """Whether all of these can be stored together.

        Raises:
            StreamRefusedError: one of them cannot.
        """
        ids = [head[headers.MSG_ID] for _, head, _ in items if headers.MSG_ID in head]
        if len(set(ids)) < len(ids) or any(name in self._known for name in ids):
            raise StreamRefusedError(KNOWN_IN_BATCH, "atomic publish batch contains duplicate message id")
        for subject, head, _ in items:
            self._judge(subject, head)
        self._make_room(sum(MESSAGE_OVERHEAD_BYTES + len(subject) + len(body) for subject, _, body in items))

    def get(self, sequence: int) -> Kept | None:
        """By its sequence."""
        return self._kept.get(sequence)

    def last(self, subject: str) -> Kept | None:
        """The newest on a subject, or under a pattern."""
        if "*" in subject or ">" in subject:
            return max(self.after(subject, 0), key=lambda kept: kept.sequence, default=None)
        return self._kept.get(self._last.get(subject, 0))

    def after(self, pattern: str, sequence: int) -> Iterator[Kept]:
        """Under subjects that fit, from a sequence on, in order."""
        return (kept for kept in self if kept.sequence >= sequence and matches(pattern, kept.subject))

    def remove(self, sequence: int) -> bool:
        """Take a message out; whether it was there."""
        kept = self._kept.pop(sequence, None)
        if kept is not None and self._last.get(kept.subject) == sequence:
            del self._last[kept.subject]
        return kept is not None

    def age(self, now: float) -> None:
        """Forget what has outlived its time."""
        self._known = {
            name: known for name, known in self._known.items() if now - known[1] < self._window_seconds
        }
        for kept in self:
            own = float(kept.headers.get(headers.TTL, 0)) or self._age_seconds
            if own and now - kept.at >= own:
                self.remove(kept.sequence)

    def _judge(self, subject: str, head: Mapping[str, str]) -> None:
        if (wanted := head.get(headers.EXPECTED_LAST_SUBJECT_SEQUENCE)) is not None:
            last = self._last.get(subject, 0)
            if int(wanted) != last:
                raise StreamRefusedError(WRONG_LAST_SEQUENCE, f"wrong last sequence: {last}")
        if headers.EXPECTED_LAST_MSG_ID in head:  # only ever asked for what is never the last one
            raise StreamRefusedError(WRONG_LAST_MSG_ID, "wrong last msg ID")

    def _make_room(self, size_bytes: int) -> None:
        if self._max_bytes < 0:
            return
        while self.size_bytes + size_bytes > self._max_bytes:
            if self._refuses_new or not self._kept:
                raise StreamRefusedError(STORE_FAILED, "maximum bytes exceeded")
            self.remove(next(iter(self._kept)))

    def _store(self, kept: Kept) -> None:
        self.last_sequence = kept.sequence
        self._kept[kept.sequence] = kept
        self._last[kept.subject] = kept.sequence
        if (name := kept.headers.get(headers.MSG_ID)) is not None:
            self._known[name] = (kept.sequence, kept.at)

    def info(self, *, subjects_filter: str | None, ts: str, offset: int) -> dict[str, Any]:
        """The answer to STREAM.INFO."""
        state: dict[str, Any] = {
            "messages": len(self._kept),
            "bytes": self.size_bytes,
            "first_seq": next(iter(self._kept), self.last_sequence + 1),
            "last_seq": self.last_sequence,
            "consumer_count": 0,
        }
        if subjects_filter is not None and not offset:
            counts: dict[str, int] = {}
            for kept in self.after(subjects_filter, 0):
                counts[kept.subject] = counts.get(kept.subject, 0) + 1
            state["subjects"] = counts
        config = {"name": self.name, **self.config}
        return {"config": config, "created": ts, "state": state, "ts": ts}


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject fits a pattern with `*` and `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))
