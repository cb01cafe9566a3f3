"""What an ack subject says, in both of its forms (nats-server ADR-15)."""

from __future__ import annotations

import pytest

from lorayard_shared.bus.delivery import Delivery, read_ack_subject

TOLD = Delivery(stream="S", consumer="c", deliveries=2, sequence=7, stored_at=1_700_000_000.5)


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.ACK.S.c.2.7.9.1700000000500000000.3",
        "$JS.ACK._.hash.S.c.2.7.9.1700000000500000000.3",
        "$JS.ACK.hub.hash.S.c.2.7.9.1700000000500000000.3.random",
    ],
    ids=["short", "long", "long with a token behind"],
)
def test_every_form_is_read(subject: str) -> None:
    assert read_ack_subject(subject) == TOLD


@pytest.mark.parametrize(
    "subject",
    ["", "_INBOX.a.b", "$JS.ACK", "$JS.ACK.S.c.2.7", "$JS.API.S.c.2.7.9.1.3", "$JS.ACK.S.c.two.7.9.1.3"],
)
def test_anything_else_is_refused(subject: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is the contract
        read_ack_subject(subject)


def test_every_delivery_of_a_message_has_the_same_key() -> None:
    first = read_ack_subject("$JS.ACK.S.c.1.7.8.1700000000500000000.3")
    assert first.key == TOLD.key == "S-7"
