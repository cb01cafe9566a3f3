"""Cancels while no dispatcher lives: whoever pulls answers for one (A3).

A job that is held somewhere is ended there. Any other gets its one result now, and whoever pulls it finds it
and lets it go; so does whoever has just taken it, as both look once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.cancelling import cancel_unheld, end_at_workers
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks

QUEUE = "q"
"""As dispatchers answer: one of all, and one that is back is asked like any other."""


class EmergencyCancel:
    """One worker's answers to cancels, while it pulls."""

    def __init__(
        self, bus: Bus, answers: Answers, tasks: OwnedTasks, holders: Callable[[], Sequence[str]]
    ) -> None:
        """`holders`: workers that hold jobs, as far as is known, this one included."""
        self._bus = bus
        self._answers = answers
        self._tasks = tasks
        self._holders = holders
        self._subscription: Subscription | None = None
        self._log = structlog.get_logger()

    async def begin(self) -> None:
        """Answer from here on."""
        subject = self._bus.subjects.dispatcher("cancel")
        self._subscription = await self._bus.nc.subscribe(subject, QUEUE, cb=self._on_cancel)

    async def end(self) -> None:
        """A dispatcher answers again; what was asked until now is answered still."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._bus.nc.is_closed:
            await subscription.unsubscribe()

    async def _on_cancel(self, message: Msg) -> None:
        try:
            wish = decode(CancelJob, message.data)
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, field=error.field, reason=error.reason)
            return
        self._tasks.spawn(self._answer(message, wish), f"cancel-{wish.job}")

    async def _answer(self, message: Msg, wish: CancelJob) -> None:
        await message.respond(encode(CancelReply(outcome=await self._cancel(wish))))

    async def _cancel(self, wish: CancelJob) -> CancelOutcome:
        if await self.end_held(wish):
            return CancelOutcome.CANCELLED
        outcome = await cancel_unheld(
            self._bus, wish, lambda traced: self._answers.cancel_unseen(wish.tenant, wish.job, traced)
        )
        taken_since = await self.end_held(wish)
        return CancelOutcome.CANCELLED if taken_since and outcome is CancelOutcome.UNKNOWN else outcome

    async def end_held(self, wish: CancelJob) -> bool:
        """End a job wherever it is held; whether it was anywhere."""
        return await end_at_workers(self._bus, self._holders(), wish)
