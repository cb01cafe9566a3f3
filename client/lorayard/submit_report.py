"""What became of each request of a bulk submit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lorayard.errors import LorayardError

H = TypeVar("H")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitReport(Generic[H]):
    """One entry per request, in their order: its handle, or why it was not taken."""

    entries: Sequence[H | LorayardError]

    @property
    def handles(self) -> list[H]:
        """The jobs that the yard has."""
        return [entry for entry in self.entries if not isinstance(entry, LorayardError)]

    @property
    def errors(self) -> list[tuple[int, LorayardError]]:
        """The requests it has not: their place in the input, and why."""
        return [
            (index, entry) for index, entry in enumerate(self.entries) if isinstance(entry, LorayardError)
        ]

    def all_handles(self) -> list[H]:
        """Every handle, for callers that need all or an error.

        Raises:
            LorayardError: the first error of the report; other jobs were queued all the same.
        """
        for _, error in self.errors:
            raise error
        return self.handles

    def __iter__(self) -> Iterator[H | LorayardError]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)
