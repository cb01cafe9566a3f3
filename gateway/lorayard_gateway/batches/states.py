"""The states of a batch, and what leads from one to another. Pure.

validating ── in_progress ── finalizing ── completed
    │  └ failed   │  └ failed     └─────── expired
    └── cancelling ───────────────────── cancelled
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from lorayard_schemas.batch_record import BatchRecord, BatchStatus

_S = BatchStatus
TRANSITIONS: Final[dict[BatchStatus, frozenset[BatchStatus]]] = {
    _S.VALIDATING: frozenset({_S.IN_PROGRESS, _S.FAILED, _S.CANCELLING}),
    _S.IN_PROGRESS: frozenset({_S.FINALIZING, _S.FAILED, _S.CANCELLING}),
    _S.FINALIZING: frozenset({_S.COMPLETED, _S.EXPIRED, _S.FAILED}),
    _S.CANCELLING: frozenset({_S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.CANCELLED: frozenset(),
}
OVER: Final = frozenset(status for status, leads_to in TRANSITIONS.items() if not leads_to)


class TransitionError(Exception):
    """No such step: a fault of ours."""

    def __init__(self, batch: str, status: BatchStatus, wanted: BatchStatus) -> None:
        super().__init__(f"{batch} is {status} and cannot become {wanted}")


def moved(record: BatchRecord, to: BatchStatus, now: float, **changed: object) -> BatchRecord:
    """The record in another state, since `now` (unix seconds), and with other changes.

    Raises:
        TransitionError: that state does not follow.
    """
    if to not in TRANSITIONS[record.status]:
        raise TransitionError(record.id, record.status, to)
    return record.model_copy(update={"status": to, f"{to.value}_at": now, **changed})


def ended_at(record: BatchRecord) -> float | None:
    """When it ended, in unix seconds; None: it has not."""
    if record.status not in OVER:
        return None
    times = (record.completed_at, record.failed_at, record.expired_at, record.cancelled_at)
    return next((at for at in times if at is not None), record.created_at)


def to_forget(records: Iterable[BatchRecord], before: float, *, most: int) -> list[BatchRecord]:
    """Batches that ended before that (unix seconds), and of each tenant those beyond its newest `most`."""
    kept, over = Counter[str](), list[BatchRecord]()
    ended = [(at, one) for one in records if (at := ended_at(one)) is not None]
    for at, one in sorted(ended, key=lambda pair: pair[0], reverse=True):
        if at < before or kept[one.tenant] >= most:
            over.append(one)
        else:
            kept[one.tenant] += 1
    return over
