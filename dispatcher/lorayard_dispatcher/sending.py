"""Jobs on their way to workers: handed over, refused, sent again or taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.hand_over import Fate, HandOver, batches
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_dispatcher.usage import Usage
from lorayard_schemas.assignment import Refusal, RefusalReason
from lorayard_schemas.audit import ReturnReason
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks


class Sender(Protocol):
    """Who hears what became of a job that was sent."""

    def park_again(self, parked: ParkedJob) -> None:
        """A worker did not take it."""
        ...

    def is_cancelled(self, taken: TakenJob) -> bool:
        """Whether nobody wants it any more."""
        ...

    def as_now(self, parked: ParkedJob) -> ParkedJob | None:
        """It by what leads to its adapter now; None: to another one."""
        ...

    def follow_up(self, worker: str, accepted: Sequence[ParkedJob]) -> None:
        """A worker has taken these, or may have: something may have changed while they were on their way."""
        ...

    def give_up(self, group: str) -> None:
        """A worker has said that it lacks the adapter."""
        ...

    def sent(self) -> None:
        """Room may have come free, or jobs have come back."""
        ...


class Sending:
    """Hands jobs to workers and sees to those that they do not take."""

    def __init__(
        self,
        sender: Sender,
        *,
        hand_over: HandOver,
        fleet: Fleet,
        leases: LeaseKeeper,
        setbacks: Setbacks,
        usage: Usage,
        audit: Audit,
        policy: Policy,
        handed: Callable[[Sequence[ParkedJob]], None],
        tasks: OwnedTasks,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._sender = sender
        self._hand_over = hand_over
        self._fleet = fleet
        self._leases = leases
        self._setbacks = setbacks
        self._usage = usage
        self._audit = audit
        self._policy = policy
        self._handed = handed
        self._spawn: Callable[..., object] = tasks.spawn
        self._log = log
        self.under_way = 0
        """Jobs that no worker has answered for yet."""
        self.refused = 0

    def hand_to(self, worker: str, jobs: Sequence[ParkedJob]) -> None:
        """Send jobs to one worker, in as many requests as they need."""
        for parked in jobs:
            self._usage.handed(worker, parked.waiting)
        self._handed(jobs)
        for batch in batches(jobs):
            self.under_way += len(batch)
            number = self._hand_over.begin(worker, batch)
            self._spawn(self._send(worker, number, batch), f"hand-over-{worker}-{number}")

    async def _send(self, worker: str, number: int, jobs: Sequence[ParkedJob]) -> None:
        try:
            fate, refusals = await self._hand_over.send(worker, number, jobs)
        except BaseException:
            self._hand_over.lose(worker, number)
            for parked in jobs:  # nobody has them now: their leases must run out
                self._leases.release(parked.taken.lease)
                self._usage.back(parked.key)
            raise
        finally:
            self.under_way -= len(jobs)
        if fate is Fate.NOT_DELIVERED:
            for parked in jobs:
                self._audit.returned(worker, parked, ReturnReason.UNREACHABLE)
                self._sender.park_again(parked)
        elif fate is Fate.ANSWERED:
            self._take_back(worker, {parked.key: parked for parked in jobs}, refusals)
            refused = {refusal.key for refusal in refusals}
            self._sender.follow_up(worker, [parked for parked in jobs if parked.key not in refused])
        elif fate is Fate.UNKNOWN:
            for parked in jobs:
                self._audit.returned(worker, parked, ReturnReason.NO_ANSWER)
                self._usage.back(parked.key)
            self._sender.follow_up(worker, jobs)
        self._sender.sent()

    def _take_back(self, worker: str, jobs: dict[str, ParkedJob], refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            parked = jobs.get(refusal.key)
            if parked is None:
                continue
            self.refused += 1
            self._setbacks.count(refusal.reason)
            self._log.info(
                Event.ASSIGNMENT_REFUSED,
                job=parked.taken.job,
                tenant=parked.taken.address.tenant,
                adapter=parked.named,
                worker=worker,
                reason=refusal.reason,
                **parked.taken.traced,
            )
            self._audit.returned(worker, parked, refusal.reason, refusal.detail)
            if refusal.reason is RefusalReason.UNKNOWN_ADAPTER:
                self._sender.park_again(parked)
                part = next((ref.digest for ref in parked.refs if ref.digest == refusal.detail), None)
                self._fleet.on_lacking(worker, part or parked.waiting.group)
                self._sender.give_up(parked.waiting.group)
            else:
                self._plan_again_or_force(parked.after_refusal())

    def _plan_again_or_force(self, parked: ParkedJob) -> None:
        home = self._setbacks.refused(parked, self._policy, time.monotonic())
        now = None if self._sender.is_cancelled(parked.taken) else self._sender.as_now(parked)
        if home is None or now is None:
            self._sender.park_again(parked)
        else:
            self._audit.forced(now, home, self._fleet.views(time.monotonic(), time.time()))
            self.hand_to(home, [now])
