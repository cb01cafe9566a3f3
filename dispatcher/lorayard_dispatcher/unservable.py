"""Jobs that no worker can serve are answered, not left to wait for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from lorayard_dispatcher.compositions import Compositions
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.pool import Pool
from lorayard_schemas.result import ResultError
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.answers import Answers


class Unservable:
    """Finds them among the jobs that wait."""

    def __init__(
        self,
        fleet: Fleet,
        pool: Pool,
        registry: AdapterRegistry,
        compositions: Compositions,
        *,
        answers: Answers,
        spawn: Callable[..., object],
    ) -> None:
        self._fleet = fleet
        self._pool = pool
        self._registry = registry
        self._compositions = compositions
        self._answers = answers
        self._spawn = spawn

    def give_up(self, group: str) -> None:
        """Answer the jobs of an adapter that every worker has said it lacks."""
        made = self._compositions.get(group)
        if self._fleet.all_lack(group, () if made is None else made.applied.digests):
            self._answer(group)

    def look(self, now: float) -> None:
        """Answer the jobs of adapters that no worker lives to serve; `now` is monotonic seconds.

        What all have said they lack is never handed over, so no refusal would come; a base model that none
        has may still come, until the fleet has settled.
        """
        settled, registry = self._fleet.is_settled(now), self._registry
        for group in {group for group, _ in self._pool.queues}:
            made = self._compositions.get(group)
            parts, slots = (() if made is None else made.applied.digests), 1 if made is None else made.slots
            columns = registry.columns_of.get(group, 0) if made is None else made.columns
            base = registry.base_of.get(group)
            served = self._fleet.can_serve(group, base, columns, parts=parts, slots=slots)
            if self._fleet.all_lack(group, parts) or (settled and not served):
                self._answer(group)

    def able(self, parked: ParkedJob) -> list[str]:
        """The live workers that can run a job, the least busy first."""
        group = parked.waiting.group
        base, columns = self._registry.base_of.get(group), self._registry.columns_of.get(group, 0)
        views = self._fleet.views(time.monotonic(), time.time())
        able = [
            view
            for view in views
            if group not in view.barred
            and (view.serves(group, base, columns) if parked.composition is None else parked.fits(view))
        ]
        return [view.worker for view in sorted(able, key=lambda view: view.in_flight)]

    def _answer(self, group: str) -> None:
        for parked in [parked for parked in self._pool if parked.waiting.group == group]:
            self._pool.take(parked.key)
            self._spawn(self._answers.refuse(parked.taken, self._refusal(parked)), f"refuse-{parked.key}")

    def _refusal(self, parked: ParkedJob) -> ResultError:
        needed = self._registry.columns_of.get(parked.waiting.group, 0)
        most = self._fleet.most_columns()
        if parked.composition is not None:
            return refusals.composition_unavailable(parked.composition, self._fleet.composers())
        if parked.adapter is None:
            return refusals.base_unavailable()
        if most is not None and most < needed:
            return refusals.adapter_too_large(parked.named, needed=needed, most=most)
        return refusals.adapter_unavailable(parked.adapter.name, self._fleet.refused(parked.named))
