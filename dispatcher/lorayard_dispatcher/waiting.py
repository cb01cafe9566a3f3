"""Why a parked job waits, from the same views that plans are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorayard_dispatcher.planning.values import BASE_GROUP, Drain, WorkerView
from lorayard_schemas.explanation import WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a job needs of a worker."""

    group: str
    base_digest: str | None  # None fits every base model

    def has_base(self, view: WorkerView) -> bool:
        """Whether the worker runs the base model that the adapter was made for."""
        return self.group == BASE_GROUP or self.base_digest in (None, view.base_digest)

    def serves(self, view: WorkerView) -> bool:
        """Whether the worker can run the job at all, now or later."""
        return self.has_base(view) and self.group not in view.lacks and view.dedicated in (None, self.group)

    def starts_without_slot(self, view: WorkerView) -> bool:
        """Whether the job needs no slot that another adapter has."""
        return self.group == BASE_GROUP or self.group in view.resident or len(view.in_use) < view.slots


def wait_reason(fit: Fit, views: Sequence[WorkerView], *, alive: int) -> WaitReason:
    """What the job waits for; `alive` counts the workers that beat, `views` has those that may get jobs."""
    if not alive:
        return WaitReason.NO_WORKER
    if not views:
        return WaitReason.NO_WORKER_TAKES_JOBS
    if not any(fit.has_base(view) for view in views):
        return WaitReason.NO_BASE
    able = [view for view in views if fit.serves(view)]
    if not able:
        return WaitReason.NO_FILES
    with_room = [view for view in able if view.room > 0]
    if not with_room:
        return WaitReason.ROWS_BUSY
    if not any(fit.starts_without_slot(view) for view in with_room):
        return WaitReason.SLOTS_BUSY
    return WaitReason.NEXT_PLAN


def drain_for(group: str, drains: Sequence[Drain]) -> Drain | None:
    """The drain that frees a slot for a group."""
    return next((drain for drain in drains if drain.for_group == group), None)


def label(group: str, labels: Mapping[str, str]) -> str | None:
    """A group for people; None is the base model."""
    return None if group == BASE_GROUP else labels.get(group, group)
