"""A job's composition on its way to the engine."""

from __future__ import annotations

from lorayard_schemas.assignment import AssignedJob
from lorayard_schemas.composition import AppliedComposition
from lorayard_schemas.job import Job
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import Composition, WeightedAdapter


def engine_composition(applied: AppliedComposition) -> Composition:
    """As the engine takes it."""
    return Composition(
        parts=tuple(WeightedAdapter(digest=part.digest, weight=part.weight) for part in applied.parts),
        policy=applied.policy,
        density=applied.density,
        majority_sign=applied.majority_sign,
        svd_rank=applied.svd_rank,
        seed=applied.seed,
    )


def is_lost(job: Job, assigned: AssignedJob) -> bool:
    """Whether the job asks for several adapters and whoever gave it out knew of none; one at full strength is
    given out as that adapter."""
    if job.composition is None or assigned.composition is not None:
        return False
    return assigned.adapter is None or len(job.composition.parts) > 1


def lost(key: str) -> Failed:
    """It must not be answered without them."""
    return Failed(
        request_id=key,
        kind=FailureKind.PERMANENT,
        code="composition_unsupported",
        message="the dispatcher that gave this job out knows of no compositions: update it",
        field="composition",
    )
