"""Why a parked job waits: what the fleet lacks goes before what the planner says."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob, WorkerView
from lorayard_dispatcher.planning.waits import Wait, WaitsFor
from lorayard_dispatcher.waiting import Fit, wait_reason
from lorayard_schemas.explanation import WaitReason

FITTING = WorkerView(worker="w1", room=1, slots=1, base_digest="base")
FULL = WorkerView(worker="w1", room=0, slots=1, base_digest="base")
OTHER_BASE = WorkerView(worker="w2", room=1, slots=1, base_digest="other")
LACKING = WorkerView(worker="w3", room=1, slots=1, base_digest="base", lacks=frozenset(["a"]))
DEDICATED = WorkerView(worker="w4", room=1, slots=1, base_digest="base", dedicated="b")
BARRED = WorkerView(worker="w5", room=1, slots=1, base_digest="base", barred=frozenset(["a"]))
NO_SLOTS = WorkerView(worker="w5", room=1, base_digest="base")
NARROW = WorkerView(worker="w6", room=1, slots=2, columns=32, base_digest="base")
JOB = WaitingJob(key="k", group="a", tenant="t", priority=2, enqueued_at=0.0)


@pytest.mark.parametrize(
    ("views", "alive", "reason"),
    [
        ((), 0, WaitReason.NO_WORKER),
        ((), 2, WaitReason.NO_WORKER_TAKES_JOBS),
        ((OTHER_BASE,), 1, WaitReason.NO_BASE),
        ((OTHER_BASE, LACKING, DEDICATED), 3, WaitReason.NO_FILES),
        ((OTHER_BASE, DEDICATED), 2, WaitReason.DEDICATED),
        ((NO_SLOTS,), 1, WaitReason.NO_FILES),
        ((NARROW,), 1, WaitReason.NO_FILES),
        ((OTHER_BASE, FITTING), 2, WaitReason.NEXT_PLAN),
        ((LACKING, BARRED), 2, WaitReason.PLACEMENT),
        ((BARRED, FITTING), 2, WaitReason.NEXT_PLAN),
    ],
)
def test_what_the_fleet_lacks_is_said_first(
    views: tuple[WorkerView, ...], alive: int, reason: WaitReason
) -> None:
    assert wait_reason(Fit(group="a", base_digest="base", columns=64), views, None, alive=alive) is reason


def test_a_job_of_the_base_model_fits_every_base_but_no_worker_of_one_adapter_only() -> None:
    fit = Fit(group=BASE_GROUP, base_digest=None)
    assert wait_reason(fit, [OTHER_BASE], None, alive=1) is WaitReason.NEXT_PLAN
    assert wait_reason(fit, [DEDICATED], None, alive=1) is WaitReason.DEDICATED


@pytest.mark.parametrize(
    ("waits_for", "view", "reason"),
    [
        (WaitsFor.SHARE, FITTING, WaitReason.TENANT_SHARE),
        (WaitsFor.ROW, FULL, WaitReason.ROWS_BUSY),
        (WaitsFor.COPY, FITTING, WaitReason.FETCH),
        (WaitsFor.DRAIN, FITTING, WaitReason.SLOTS_BUSY),
        (WaitsFor.SLOT, FITTING, WaitReason.SLOTS_BUSY),
        (WaitsFor.SLOT, FULL, WaitReason.ROWS_BUSY),
        (WaitsFor.PLAN, FITTING, WaitReason.NEXT_PLAN),
        (WaitsFor.WORKER, FITTING, WaitReason.NO_FILES),
    ],
)
def test_then_what_the_planner_says(waits_for: WaitsFor, view: WorkerView, reason: WaitReason) -> None:
    wait = Wait(job=JOB, waits_for=waits_for, ahead=0, overdue_at=1.0)
    assert wait_reason(Fit(group="a", base_digest="base"), [view], wait, alive=1) is reason
