"""What a host of the snapshot answers when it is asked whether it does its work."""

from __future__ import annotations

import os
import socket
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import nats.errors
from nats.micro.request import Request
from nats.micro.service import EndpointConfig

from lorayard.view.hosts import HEALTH
from lorayard_schemas.codec import encode
from lorayard_schemas.health import HealthReport
from lorayard_shared.bus.connection import Bus

MOST_ASKERS = 16
"""That are told when it leaves: the hosts of a yard ask each other."""


class HostHealth:
    """One process."""

    def __init__(self, host: str, faults: Callable[[], tuple[str, ...]]) -> None:
        """`host` is what kind of process it is; `faults` tells what makes no progress in it."""
        self._process = f"{host} {os.getpid()} on {socket.gethostname()}"
        self._faults = faults
        self._askers = deque[Request](maxlen=MOST_ASKERS)

    def endpoint(self, bus: Bus) -> EndpointConfig:
        """In a queue group of its own: each host answers."""
        return EndpointConfig(
            name=HEALTH,
            subject=bus.subjects.service(HEALTH),
            handler=self._answer,
            queue_group=uuid.uuid4().hex,
        )

    async def leave(self) -> None:
        """Say that it ends, so that nobody takes it for one that hangs."""
        report = encode(HealthReport(process=self._process, ready=False, leaving=True))
        for request in self._askers:
            with suppress(nats.errors.Error):
                await request.respond(report)

    async def _answer(self, request: Request) -> None:
        missing = self._faults()
        report = HealthReport(process=self._process, ready=not missing, missing=missing)
        with suppress(nats.errors.Error, ValueError):  # the bus is away; or who asks wants no answer
            await request.respond(encode(report))
            self._askers.append(request)
