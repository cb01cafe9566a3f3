"""Counts what happens in one run, and tells the batch's manifest of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lorayard.batch.counts import BatchCounts
from lorayard.batch.manifest import AnsweredBy, BatchState, Manifest
from lorayard.batch.opening import answered_by
from lorayard.handle import JobHandle
from lorayard.openai_shapes import Asked, model_label
from lorayard.result import Result

_RESIDENT = frozenset({"slot", "merged", "none"})
"""Tiers that cost no load; `none` is the base model's."""


class Tally:
    """Changes as lines are written."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._adapters: dict[str, AnsweredBy] = dict(manifest.adapters)
        self._started = time.monotonic()
        counts = manifest.counts
        self._now: dict[str, int] = {
            name: getattr(counts, name) for name in ("lines", "answered", "failed", "bad", "resumed")
        } | dict.fromkeys(
            ("in_flight", "found", "sent_again", "prompt_tokens", "completion_tokens", "resident", "answers"),
            0,
        )
        self._now["written_now"] = 0
        self._trouble: str | None = None
        self._generations = manifest.generations

    @property
    def id(self) -> str:
        """Of the batch."""
        return self._manifest.id

    def read(self, lines: int, *, ended: bool) -> None:
        """So many lines of the input were read."""
        self._now["lines"] = lines if ended else max(lines, self._now["lines"])

    def sent(self, handles: Sequence[JobHandle]) -> None:
        """A line is in flight."""
        self._now["in_flight"] += 1
        self._now["found"] += any(handle.existing for handle in handles)
        self._trouble = None

    def running(self, lines: int) -> None:
        """So many are in flight now."""
        self._now["in_flight"] = lines

    def again(self, reason: str | None, *, generation: int) -> None:
        """One is to be sent once more, under a key of this generation; `reason` is what is waited for."""
        self._generations = max(self._generations, generation)
        self._now["sent_again"] += 1
        self._trouble = reason

    def answered(self, asked: Asked, results: Sequence[Result]) -> None:
        """A line stands in the output."""
        self._written("answered")
        for result in results:
            self._now["answers"] += 1
            self._now["resident"] += result.tier in _RESIDENT
            self._now["prompt_tokens"] += result.usage.prompt_tokens
            self._now["completion_tokens"] += result.usage.completion_tokens
        answered_by(self._adapters, model_label(asked, results[0]), results[0].digest)

    def failed(self) -> None:
        """One that was asked stands in the error file."""
        self._written("failed")

    def bad(self) -> None:
        """One that nobody was asked about."""
        self._written("bad")

    def manifest(self, *, state: BatchState | None = None, trouble: str | None = None) -> Manifest:
        """As it is now; `state` when it has ended."""
        now = time.time()
        seconds = time.monotonic() - self._started
        counts = BatchCounts(**self._now, seconds=seconds, trouble=self._trouble if state is None else None)
        changed: dict[str, object] = {
            "counts": counts,
            "adapters": dict(self._adapters),
            "generations": self._generations,
            "updated_at": now,
            "trouble": trouble,
        }
        if state is not None:
            changed |= {"state": state, "finished_at": now}
        return self._manifest.model_copy(update=changed)

    def _written(self, kind: str) -> None:
        self._now[kind] += 1
        self._now["written_now"] += 1
