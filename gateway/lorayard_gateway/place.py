"""Where a reader of a stream is: an SSE event's id, with which any gateway goes on behind it.

Besides the event's sequence on the bus it says how much text was given out, and a digest of it: so a reader
can go on though the events are kept no more, or the job was begun anew, as long as the text is the same.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from lorayard.errors import StreamRestartedError

_ID = re.compile(r"([A-Za-z0-9_-]{1,64})\.([0-9]{1,18})\.([0-9]{1,12})\.([0-9a-f]{16})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """As an id tells it."""

    job: str
    sequence: int
    characters: int
    digest: str

    def __str__(self) -> str:
        return f"{self.job}.{self.sequence}.{self.characters}.{self.digest}"


def read_place(text: str) -> Place | None:
    """An id that was given out; None: it is none."""
    found = _ID.fullmatch(text)
    if found is None:
        return None
    return Place(job=found[1], sequence=int(found[2]), characters=int(found[3]), digest=found[4])


class Given:
    """What a reader has of one text, known by its length and digest only.

    A reader that comes back is read to from the beginning, and hears what lies behind its place: a stream
    is some kilobytes, and so it does not matter who gave out the rest.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.characters = 0 if place is None else place.characters
        self._digest = _digest("") if place is None else place.digest
        self._hash = hashlib.sha256()
        self._anew: str | None = "" if self.characters else None
        """What a run has written that has not come to the reader's place yet; None: it is past that."""

    def place(self, job: str, sequence: int) -> Place:
        """Behind what was given out."""
        return Place(job=job, sequence=sequence, characters=self.characters, digest=self._digest)

    def begin_again(self) -> None:
        """What was given out is right only as far as the new run writes the same."""
        if self.characters:
            self._anew = ""

    def piece(self, job: str, text: str) -> str:
        """What of a text is to be given out.

        Raises:
            StreamRestartedError: another text was given out.
        """
        if self._anew is None:
            self._take(text)
            return text
        self._anew += text
        if len(self._anew) < self.characters:
            return ""
        anew, self._anew = self._anew, None
        head, rest = anew[: self.characters], anew[self.characters :]
        if _digest(head) != self._digest:
            raise StreamRestartedError(job_id=job, text=head)
        self._hash = hashlib.sha256(head.encode())
        self._take(rest)
        return rest

    def check_end(self, job: str) -> None:
        """Once the job has succeeded.

        Raises:
            StreamRestartedError: the answer is shorter than what was given out.
        """
        if self._anew is not None:
            raise StreamRestartedError(job_id=job, text=self._anew)

    def _take(self, text: str) -> None:
        if not text:
            return
        self.characters += len(text)
        self._hash.update(text.encode())
        self._digest = self._hash.hexdigest()[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
