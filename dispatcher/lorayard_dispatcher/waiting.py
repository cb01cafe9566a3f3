"""Why a parked job waits: what the fleet lacks for it, and beyond that what the planner says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorayard_dispatcher.planning.values import BASE_GROUP, WorkerView
from lorayard_dispatcher.planning.waits import Wait, WaitsFor
from lorayard_schemas.explanation import WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a job needs of a worker."""

    group: str
    base_digest: str | None  # None fits every base model
    columns: int = 0  # of the slots, by the adapter's rank
    parts: tuple[str, ...] = ()  # of a composition
    slots: int = 1

    def has_base(self, view: WorkerView) -> bool:
        """Whether the worker runs the base model that the adapter was made for."""
        return self.group == BASE_GROUP or self.base_digest in (None, view.base_digest)

    def serves(self, view: WorkerView) -> bool:
        """Whether the worker can run the job at all, wherever its adapter was declared to be."""
        anywhere = replace(view, barred=frozenset[str]())
        return anywhere.serves(self.group, self.base_digest, self.columns, self.parts, self.slots)


def wait_reason(fit: Fit, views: Sequence[WorkerView], wait: Wait | None, *, alive: int) -> WaitReason:
    """What the job waits for; `alive` counts the workers that beat, `views` has those that may get jobs."""
    if not alive:
        return WaitReason.NO_WORKER
    if not views:
        return WaitReason.NO_WORKER_TAKES_JOBS
    if not any(fit.has_base(view) for view in views):
        return WaitReason.NO_BASE
    able = [view for view in views if fit.serves(view)]
    if not able:
        alone = all(view.dedicated not in (None, fit.group) for view in views if fit.has_base(view))
        return WaitReason.DEDICATED if alone else WaitReason.NO_FILES
    if not any(view.barred.isdisjoint({fit.group, *fit.parts}) for view in able):
        return WaitReason.PLACEMENT
    return WaitReason.NEXT_PLAN if wait is None else _of_planner(wait, able)


def _of_planner(wait: Wait, able: Sequence[WorkerView]) -> WaitReason:
    match wait.waits_for:
        case WaitsFor.WORKER:
            return WaitReason.NO_FILES
        case WaitsFor.SHARE:
            return WaitReason.TENANT_SHARE
        case WaitsFor.HOME:
            return WaitReason.SESSION_WORKER
        case WaitsFor.ROW:
            return WaitReason.ROWS_BUSY
        case WaitsFor.COPY:
            return WaitReason.FETCH
        case WaitsFor.DRAIN:
            return WaitReason.SLOTS_BUSY
        case WaitsFor.SLOT:
            return WaitReason.SLOTS_BUSY if any(view.room > 0 for view in able) else WaitReason.ROWS_BUSY
        case WaitsFor.PLAN:
            return WaitReason.NEXT_PLAN
