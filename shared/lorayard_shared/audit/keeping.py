"""Whether a stream's own limits can have taken what is missing at its old end."""

from __future__ import annotations

from lorayard_shared.audit.verifying import Fault, FaultKind
from lorayard_shared.value import value

NEARLY = 0.9
MESSAGE_BYTES = 2 * 2**20
"""A stream that its byte limit cuts is full but for less than a message, of 1 MiB at most."""


@value
class Keeping:
    """What a stream says of itself; times are unix seconds of the server."""

    now: float
    age_seconds: float
    """0: no limit."""
    size_bytes: int
    most_bytes: int
    """Not above 0: no limit."""

    def can_have_cut(self, since: float) -> bool:
        """Whether its limits can have taken anything that was stored since then."""
        if 0 < self.age_seconds < self.now - since:
            return True
        if self.most_bytes <= 0:
            return False
        return self.size_bytes >= min(self.most_bytes * NEARLY, self.most_bytes - MESSAGE_BYTES)


@value
class Beginning:
    """A record, or the place for one, that was a stream's first at some time."""

    sequence: int
    at: float
    """Nothing behind it is older."""


def trimmed(first: int, known: Beginning, keeping: Keeping) -> Fault | None:
    """What is wrong where a stream begins at `first`, and once began with `known`."""
    if first <= known.sequence or keeping.can_have_cut(known.at):
        return None
    text = f"records {known.sequence} to {first - 1} of the stream: taken from its old end, before their time"
    return Fault(kind=FaultKind.TRIMMED, sequence=known.sequence, text=text)
