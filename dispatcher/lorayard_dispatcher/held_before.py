"""Jobs that workers held before this dispatcher took up its work: pulled while none lived, or given out by
one that is gone. They are pending like all others, and somebody has to count them (E5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import nats.js.errors

from lorayard_dispatcher.admitted import Admitted, Charge, Name
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.limiting.gates import Gates
from lorayard_dispatcher.parked_job import BYTES_A_TOKEN
from lorayard_schemas.composition import COMPOSED
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import split_version
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_shared.bus.connection import Bus

AT_ONCE = 32
"""Messages read at the same time: there are as many as all workers have rows."""


class HeldBefore:
    """Finds them, and lets their gates hold them."""

    def __init__(self, bus: Bus, gates: Gates, admitted: Admitted, fleet: Fleet) -> None:
        self._bus = bus
        self._gates = gates
        self._admitted = admitted
        self._fleet = fleet
        self._names: dict[str, Name] = {}

    async def count(self) -> None:
        """Count those that nobody here has given out.

        Raises:
            nats.errors.Error: the bus did not answer.
        """
        if not any(gate.max_pending for gate in self._gates) and not self._gates.of_each_tenant:
            return
        ours = {held.key for _, held in self._fleet.handed()}
        keys = sorted(self._held() - ours - self._names.keys())
        for start in range(0, len(keys), AT_ONCE):
            await asyncio.gather(*(self._count(key) for key in keys[start : start + AT_ONCE]))

    def names(self) -> Iterable[Name]:
        """Those that a worker holds still."""
        held = self._held()
        self._names = {key: name for key, name in self._names.items() if key in held}
        return self._names.values()

    def _held(self) -> set[str]:
        return {key for load in self._fleet.loads() for key in load.holding}

    async def _count(self, key: str) -> None:
        stream, _, sequence = key.rpartition("-")
        if not stream or not sequence.isdecimal():
            return
        try:
            found = await self._bus.js.get_msg(stream, seq=int(sequence), direct=True)
            address = self._bus.subjects.parse_job(found.subject or "")
            job = read_job(found.data or b"")
        except (nats.js.errors.NotFoundError, BadSubjectError, MalformedMessageError):
            return  # it has ended meanwhile
        name, now = (address.tenant, job.id), time.monotonic()
        gates = self._gates.find(address.tenant, _named(address), now)
        if not gates or name in self._admitted:
            return
        size = len(found.data or b"") if job.prompt_ref is None else job.prompt_ref.size_bytes
        cost = (1.0, size / BYTES_A_TOKEN + job.sampling.max_new_tokens, float(size))
        for gate in gates:
            gate.hold(cost)
        self._admitted[name] = Charge(gates, cost, now, now)
        self._names[key] = name


def _named(address: JobAddress) -> tuple[str, ...]:
    """The adapter, where the job says; what chose it otherwise is not looked into."""
    if address.adapter is None or address.adapter.startswith(COMPOSED):
        return ()
    return (split_version(address.adapter)[0],)
