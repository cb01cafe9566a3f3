"""What waits in `yard.delayed.>` for a time that never comes."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.delayed_check import never_served

REPLY = "$JS.ACK.T_DELAYED.check-delayed.1.7.1.1795316229000000000.0"
TARGET = {"Nats-Schedule-Target": "yard.due.normal.acme.base"}


def fault(message_headers: dict[str, str]) -> str | None:
    found = never_served(
        subject="yard.delayed.acme.j", reply=REPLY, body=b"{}", message_headers=message_headers
    )
    return found.field if found is not None else None


def test_a_schedule_with_a_time_and_a_target_is_served() -> None:
    assert fault({"Nats-Schedule": "@at 2026-11-22T03:00:00Z", **TARGET}) is None


@pytest.mark.parametrize(
    ("message_headers", "field"),
    [
        ({}, "header Nats-Schedule"),
        (TARGET, "header Nats-Schedule"),
        ({"Nats-Schedule": "@every 5s", **TARGET}, "header Nats-Schedule"),
        ({"Nats-Schedule": "0 0 3 * * *", **TARGET}, "header Nats-Schedule"),
        ({"Nats-Schedule": "@at 2026-11-22T03:00:00Z"}, "header Nats-Schedule-Target"),
    ],
)
def test_what_lacks_a_header_or_repeats_is_never_served(message_headers: dict[str, str], field: str) -> None:
    assert fault(message_headers) == field


def test_what_came_without_an_ack_subject_was_no_delivery() -> None:
    with pytest.raises(ValueError, match=r"."):
        never_served(subject="yard.delayed.acme.j", reply="", body=b"", message_headers={})
