"""Jobs that go back to their stream sound: not wanted here any more, or not to be served here.

Dispatchers are told before: whoever gets one again must know that nothing has happened to it (G1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lorayard_schemas.give_back import GiveBack
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.lease import LeaseKeeper
from lorayard_workers.engine.dedication import REFUSAL_CODE
from lorayard_workers.engine.outcome import WITHDRAWN, Failed, Outcome
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs

_NOT_BEGUN = frozenset({REFUSAL_CODE, WITHDRAWN})


class Returns:
    """Hands jobs back that have not begun; that costs them no attempt."""

    def __init__(
        self,
        bus: Bus,
        engine: Engine,
        leases: LeaseKeeper,
        held: HeldJobs,
        *,
        tell: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`tell` says to dispatchers which jobs (by key) are about to come back."""
        self._bus = bus
        self._engine = engine
        self._leases = leases
        self._held = held
        self._tell = tell

    def withdraw(self, order: GiveBack) -> int:
        """Begin none of these jobs any more; how many are held. Those that have begun run on.

        What the engine has not started comes back from it as such; what is not there yet is not sent there.
        """
        meant = self._held.meant_by(order)
        for held in meant:
            held.withdrawn = True
            self._engine.withdraw(held.key)
        return len(meant)

    async def give_back(self, jobs: Sequence[HeldJob]) -> None:
        """Hand them back.

        Raises:
            nats.errors.Error: the bus is away; their leases run out.
        """
        ours = [held for held in jobs if self._held.get(held.key) is held]
        for held in ours:
            self._held.drop(held.key)
            self._leases.release(held.assigned.lease)
        if ours:
            await self._tell([held.key for held in ours])
        for held in ours:
            await self._bus.nc.publish(held.assigned.lease, NAK)


def goes_back(outcome: Outcome) -> bool:
    """Whether it says that the job has not begun, and can be run elsewhere as if it had never been here."""
    return isinstance(outcome, Failed) and outcome.code in _NOT_BEGUN
