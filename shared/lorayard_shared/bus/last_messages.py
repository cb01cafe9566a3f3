"""The last message of each of many subjects, in one question of the server for a hundred of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import nats.errors

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.losses import answered, asked_again

AT_ONCE = 128
"""Subjects of one question: as many results of 512 KiB still fit into a connection's buffers."""

ANSWER_SECONDS = 2.0
"""It takes milliseconds; one that was lost with its server is not waited for longer."""

_END = "Status"
"""A header of the server's own last word."""


async def last_messages(bus: Bus, stream: str, subjects: Sequence[str]) -> dict[str, bytes]:
    """The bodies by subject, of those that have one; `stream` is the full name.

    Raises:
        nats.errors.NoRespondersError: there is no such stream.
        nats.errors.Error: no answer.
    """
    found: dict[str, bytes] = {}
    for start in range(0, len(subjects), AT_ONCE):
        found |= await asked_again(bus, partial(_ask, bus, stream, subjects[start : start + AT_ONCE]))
    return found


async def _ask(bus: Bus, stream: str, subjects: Sequence[str]) -> dict[str, bytes]:
    # The server's batched direct get (ADR-31), which nats-py does not wrap.
    found: dict[str, bytes] = {}
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def take(message: Heard) -> None:
        headers = message.headers or {}
        if status := headers.get(_END):
            if not over.done():
                over.set_result(status)
        else:
            found[headers["Nats-Subject"]] = message.data

    inbox, losses = bus.nc.new_inbox(), bus.disconnects
    hearing = await bus.nc.hear(inbox, take)
    try:
        body = json.dumps({"multi_last": list(subjects)}).encode()
        await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=inbox)
        status = await answered(bus, over, losses, seconds=ANSWER_SECONDS)
    finally:
        with suppress(nats.errors.Error):
            await hearing.unsubscribe()
    if status == "503":
        raise nats.errors.NoRespondersError
    return found
