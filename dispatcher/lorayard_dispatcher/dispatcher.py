"""The dispatcher: intake, resolve, pool, plan, hand over. It holds nothing that a crash can lose.

Every parked job is still in its stream, leased; a restarted dispatcher gets it again after `ack_wait`. Only
`planning` decides; everything here carries values to it and decisions away from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from lorayard_dispatcher.admission import LANES
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.parts import Parts
from lorayard_dispatcher.shedding import EXTRA_ROOM
from lorayard_schemas.job import Lane
from lorayard_shared.bus.heard import Heard
from lorayard_shared.jobs.intake import Unreadable, read_message
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.time_limit import TimeLimit

PLAN_GAP_SECONDS = 0.002
"""At most one plan in this time: arrivals of one burst are planned together."""
LOOK_SECONDS = 0.05
"""A plan at least this often while jobs wait: jobs become overdue and workers silent without an event."""
TICK_SECONDS = 0.25
"""Between looks at deadlines, and at jobs that nobody can serve."""


class Dispatcher(Parts):
    """One dispatcher's state and what moves it."""

    @property
    def failures(self) -> int:
        """Its own tasks that ended with an error nobody expected."""
        return self._tasks.failed

    # ---- what comes in

    def room(self, lane: Lane) -> int:
        """How many more jobs of a lane may be taken: parked ones cost memory and leases.

        Each lane has a window of its own, or bulk work would keep urgent jobs from being seen at all. A lane
        that is paused is not pulled: its jobs stay where they are, and take no leases.
        """
        if self.choosing.controls.paused_lane(lane) is not None:
            return 0
        room = self.room_due() - self.pool.count(LANES.index(lane))
        return room if room > EXTRA_ROOM or not self.shedding.sheds(lane) else EXTRA_ROOM

    def room_due(self) -> int:
        """The same for retried jobs, of whatever lane."""
        window = self.settings.window
        # As many more may be kept back: nobody else is to wait for those.
        waiting = len(self.unresolved) - self.unresolved.aside + max(0, self.unresolved.due_later - window)
        return window - waiting - len(self.refusing)

    def on_due(self, message: Heard) -> None:
        """A job whose time has come."""
        self.on_message(message, self.due.on_job)

    def on_message(self, message: Heard, take: Callable[[TakenJob], None] | None = None) -> None:
        """A delivery from one of the lanes."""
        self.taken += 1
        read = read_message(self.bus.subjects, message, self._log)
        if read is None:
            return
        self.leases.hold(read.lease)
        if isinstance(read, Unreadable):
            self.spawn(self.answers.unreadable(read), f"answer-{read.delivery.key}")
        else:
            self.redelivered += read.deliveries > 1
            (take or self.admission.take)(read)

    def on_worker(self) -> None:
        """One has told something."""
        self.retry_unresolved()
        self._changed.set()

    def on_adapter(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of adapters."""
        if (amended := self.registry.on_change(key, value)) is not None:
            self.rerouting.on_access(amended)
        if (stored := self.registry.stored_under(key)) is not None:
            self.fleet.on_stored(stored)
        self.keeping.on_declared()
        self.retry_unresolved()
        self._changed.set()

    def on_alias(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of aliases: of what jobs get, and of what declarations mean."""
        self.rerouting.on_alias(key, value)
        self.keeping.on_declared()

    def on_controls(self) -> None:
        """Strikes, pauses or caps are others: what waits is counted anew, and lanes are pulled or not."""
        for parked in list(self.pool) if self.choosing.controls.caps_any else ():
            if self.choosing.controls.caps(parked.taken.address, parked.counts_as):
                self.pool.take(parked.key)
                self.admission.take(parked.taken)
        self.sent()

    def on_rules(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules."""
        self.rerouting.on_rules(key, value)
        self.semantic.on_change(key, value)

    # ---- plan and hand over

    async def run_plans(self) -> None:
        """Plan on every change, coalesced, until cancelled."""
        looked, look, tick = time.monotonic(), TimeLimit(LOOK_SECONDS), TimeLimit(TICK_SECONDS)
        while True:
            with suppress(TimeoutError):
                async with (look if len(self.pool) else tick).wait():
                    await self._changed.wait()
            self._changed.clear()
            # By the clock: under load the wait above never times out.
            self.keeping.look_if_due(time.monotonic())
            if time.monotonic() - looked >= TICK_SECONDS:
                looked = time.monotonic()
                self.lookout.look(looked)
                self.usage.look(self.fleet.heard())
                self.departures.expire()
                self.rerouting.lapse(time.time())
                self.ceilings.turn_over()
                self.unservable.look(looked)
                self.on_look()
            if self.isolation and self.is_active():
                self.isolation.look(time.monotonic())
            if self.registry.changed:
                self.registry.changed = False
                worths = self.keeping.placements.worths(self.registry.known)
                self.worth_of.clear()
                self.worth_of.update(worths)
                self.planner.expect(self.keeping.kept_ready(self.registry.active()))
            if self.unresolved.capped:
                self.ceilings.look()
            if len(self.pool) or self.planner.prewarms(time.time()):
                if self.is_active():
                    self.plans.make()
                await asyncio.sleep(PLAN_GAP_SECONDS)

    def sent(self) -> None:
        """Room may have come free at a worker, or jobs have come back."""
        self._changed.set()
        for call in self.on_room:
            call()

    def follow_up(self, worker: str, accepted: Sequence[ParkedJob]) -> None:
        """Jobs have come to a worker: what was decided meanwhile about their way holds there too."""
        self.withdrawing.ask_back(
            worker, [parked.key for parked in accepted if self.rerouting.leaves(parked)]
        )

    def tell_aliases(self) -> None:
        """What workers hold is this dispatcher's to decide on from here on."""
        self.withdrawing.tell_all(self.choosing.directory.aliases)

    def park_again(self, parked: ParkedJob) -> None:
        """A job that a worker did not take waits on, unless it was cancelled meanwhile."""
        self.usage.back(parked.key)
        taken = parked.taken
        if self.is_cancelled(taken):
            self.spawn(self.answers.cancel(taken), f"cancel-{parked.key}")
        elif (now := self.as_now(parked)) is None or taken.deliveries > 1:
            # It may be a suspect, which is not to be planned with others.
            self.admission.take(taken)
        else:
            self.admission.put(now)
