"""One delivery of a message by a pull consumer: what the ack subject says, and the words of the protocol.

The ack subject is `$JS.ACK.stream.consumer.deliveries.stream-sequence.consumer-sequence.time.pending`, or the
longer form with a domain and an account hash in front (nats-server ADR-15). It is not fenced: an old one acts
on the newest delivery.
"""

from __future__ import annotations

from lorayard_shared.value import value

ACK = b"+ACK"
NAK = b"-NAK"
IN_PROGRESS = b"+WPI"
TERM = b"+TERM"

_SHORT_PARTS = 9


@value
class Delivery:
    """What an ack subject tells about its message."""

    stream: str
    consumer: str
    deliveries: int
    sequence: int
    stored_at: float
    """When the message was stored, unix seconds by the server's clock."""

    @property
    def key(self) -> str:
        """The message's identity, the same for every delivery of it."""
        return f"{self.stream}-{self.sequence}"


def read_ack_subject(subject: str) -> Delivery:
    """Take an ack subject apart.

    Raises:
        ValueError: it is not one.
    """
    parts = subject.split(".")
    if parts[:2] != ["$JS", "ACK"] or len(parts) < _SHORT_PARTS:
        raise ValueError(f"{subject!r} is not an ack subject")
    # The long form has a domain and an account hash in front, and may have a token behind.
    at = 2 if len(parts) == _SHORT_PARTS else 4
    stream, consumer, deliveries, sequence, _, stored_at = parts[at : at + 6]
    return Delivery(
        stream=stream,
        consumer=consumer,
        deliveries=int(deliveries),
        sequence=int(sequence),
        stored_at=int(stored_at) / 1e9,
    )
