"""The two short ways of the bus connection: publish at once, hear what is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import nats.errors
import pytest

from lorayard_shared.bus.connection import PENDING_BYTES, Bus, connect
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
SUBJECT = "test.hear"


class Server(Protocol):
    """A server that a test kills and starts again."""

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


async def test_what_is_posted_is_heard_in_order_with_reply_and_headers(
    bus: Bus, wait_until: WaitUntil
) -> None:
    heard: list[Heard] = []
    await bus.nc.hear(SUBJECT, heard.append)
    for number in range(100):
        bus.nc.post(SUBJECT, str(number).encode(), reply=f"r.{number}", head=header_block({"A": f"{number}"}))
    bus.nc.post(SUBJECT, b"")
    await wait_until(lambda: len(heard) > 100)  # a flush may overtake what is pending
    assert [message.data for message in heard] == [*(str(n).encode() for n in range(100)), b""]
    assert [message.reply for message in heard] == [*(f"r.{n}" for n in range(100)), ""]
    assert [message.headers for message in heard] == [*({"A": f"{n}"} for n in range(100)), None]


async def test_what_is_posted_together_is_heard_in_order__b11(bus: Bus, wait_until: WaitUntil) -> None:
    heard: list[Heard] = []
    await bus.nc.hear(SUBJECT, heard.append)
    bus.nc.post_all((SUBJECT, f"r.{n}", header_block({"A": f"{n}"}), f"{n}".encode()) for n in range(100))
    await wait_until(lambda: len(heard) == 100)
    told = [(message.reply, message.headers, message.data) for message in heard]
    assert told == [(f"r.{n}", {"A": f"{n}"}, f"{n}".encode()) for n in range(100)]


async def test_of_many_those_before_the_one_at_fault_are_sent(bus: Bus, wait_until: WaitUntil) -> None:
    heard: list[bytes] = []
    await bus.nc.hear(SUBJECT, lambda message: heard.append(message.data))
    with pytest.raises(nats.errors.BadSubjectError):
        bus.nc.post_all([(SUBJECT, "", b"", b"one"), ("a b", "", b"", b"two"), (SUBJECT, "", b"", b"three")])
    await wait_until(lambda: heard == [b"one"])


async def test_after_a_flush_the_server_has_all_that_was_posted(bus: Bus, settings: YardSettings) -> None:
    async with await connect(settings, name="other") as other:
        heard: list[int] = []
        await other.nc.hear(SUBJECT, lambda message: heard.append(len(message.data)))
        await other.nc.flush()
        for _ in range(40):
            bus.nc.post(SUBJECT, b"x" * 500_000)
        await bus.nc.flush()
        await other.nc.flush()
    assert heard == [500_000] * 40


async def test_a_hearer_that_raises_is_reported_and_hears_on(bus: Bus, wait_until: WaitUntil) -> None:
    heard: list[bytes] = []

    def take(message: Heard) -> None:
        heard.append(message.data)
        if message.data == b"bad":
            raise ValueError("bad")

    await bus.nc.hear(SUBJECT, take)
    for body in (b"one", b"bad", b"two"):
        bus.nc.post(SUBJECT, body)
    await wait_until(lambda: len(heard) > 2)
    assert heard == [b"one", b"bad", b"two"]
    assert (bus.errors, str(bus.last_error)) == (1, "bad")


async def test_after_unsubscribing_nothing_is_heard(bus: Bus) -> None:
    heard: list[Heard] = []
    subscription = await bus.nc.hear(SUBJECT, heard.append)
    await subscription.unsubscribe()
    bus.nc.post(SUBJECT, b"late")
    await bus.nc.flush()
    assert not heard


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0\r\n", "a\tb"])
async def test_a_subject_that_would_be_read_as_something_else_is_refused__g5(bus: Bus, subject: str) -> None:
    with pytest.raises(nats.errors.BadSubjectError):
        bus.nc.post(subject, b"")
    with pytest.raises(nats.errors.BadSubjectError):
        bus.nc.post("a", b"", reply=subject or "a b")


async def test_what_cannot_be_sent_is_refused(settings: YardSettings) -> None:
    bus = await connect(settings, name="post")
    with pytest.raises(nats.errors.MaxPayloadError):
        bus.nc.post(SUBJECT, b"x" * (bus.nc.max_payload + 1))
    await bus.close()
    with pytest.raises(nats.errors.ConnectionClosedError):
        bus.nc.post(SUBJECT, b"")


async def test_posts_and_hearers_outlive_the_server__g2(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    """What is posted meanwhile is sent when it is back, as with `publish`."""
    heard: list[bytes] = []
    async with await connect(own_settings, name="test") as bus:
        await bus.nc.hear(SUBJECT, lambda message: heard.append(message.data))
        await bus.nc.flush()
        own_server.kill()
        await wait_until(lambda: not bus.connected)
        bus.nc.post(SUBJECT, b"meanwhile")
        own_server.start()
        await wait_until(lambda: heard == [b"meanwhile"])
        bus.nc.post(SUBJECT, b"after")
        await wait_until(lambda: heard == [b"meanwhile", b"after"])


async def test_an_outage_fills_no_memory_without_end(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    async with await connect(own_settings, name="test") as bus:
        own_server.kill()
        await wait_until(lambda: not bus.connected)
        body = b"x" * 2**20
        for _ in range(PENDING_BYTES // len(body)):
            bus.nc.post(SUBJECT, body[:-100])  # the rest is what the protocol adds
        with pytest.raises(nats.errors.OutboundBufferLimitError):
            bus.nc.post(SUBJECT, body)
