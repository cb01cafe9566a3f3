"""Whether those live and hear that show the yard: gateways, exporters, `lorayard up`.

They have no adverts. So each look asks all of them at once and waits for none: who answers is known at the
next look, and who answered before and does no more is silent.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.health import HealthReport
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard

HEALTH = "health"

SILENT_SECONDS = 0.9
"""Without an answer, which takes milliseconds: told at the second look of a page after it was asked."""

REMEMBERED_SECONDS = 60.0
"""Of one that is silent: whoever supervises it has ended it by then, and its successor has another name."""


@dataclass(slots=True)
class _Host:
    report: HealthReport
    asked_at: float | None = None  # the first question that it has not answered, monotonic seconds


class Hosts:
    """Those of one yard."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._hosts: dict[str, _Host] = {}
        self._inbox = ""
        self._reconnects = bus.reconnects
        self.silent: tuple[str, ...] = ()
        """That answered before, and do no more."""

    @property
    def unready(self) -> tuple[HealthReport, ...]:
        """Those that answer, and do not do their work."""
        told = (host.report for _, host in sorted(self._hosts.items()))
        return tuple(report for report in told if not report.ready and report.process not in self.silent)

    async def ask(self, now: float) -> None:
        """Judge what was answered so far, and ask anew; `now` is monotonic seconds.

        Raises:
            nats.errors.Error: the bus is away.
        """
        if not self._inbox:
            inbox = self._bus.nc.new_inbox()
            await self._bus.nc.hear(inbox, self._take)
            self._inbox = inbox
        if self._bus.reconnects != self._reconnects:  # nobody could answer meanwhile
            self._reconnects = self._bus.reconnects
            for host in self._hosts.values():
                host.asked_at = None
        waited = {
            name: now - host.asked_at for name, host in self._hosts.items() if host.asked_at is not None
        }
        for name, seconds in waited.items():
            if seconds > REMEMBERED_SECONDS:
                del self._hosts[name]
        self.silent = tuple(
            sorted(name for name, each in waited.items() if SILENT_SECONDS <= each <= REMEMBERED_SECONDS)
        )
        for host in self._hosts.values():
            host.asked_at = now if host.asked_at is None else host.asked_at
        await self._bus.nc.publish(self._bus.subjects.service(HEALTH), b"", reply=self._inbox)

    def _take(self, message: Heard) -> None:
        try:
            report = decode(HealthReport, message.data)
        except MalformedMessageError:
            return  # nobody answers, which is a message of the server; or a host of another release
        if report.leaving:
            self._hosts.pop(report.process, None)
        else:
            self._hosts[report.process] = _Host(report)
