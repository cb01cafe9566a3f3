"""The digest of a composition: its name wherever an adapter's digest would stand. Pure."""

from __future__ import annotations

import lorayard_schemas.composition
from lorayard_workers.engine.request import Composition


def recipe_digest(composition: Composition) -> str:
    """As dispatchers know it too: what an engine derives and holds is what jobs are planned by.

    Keys caches of keys and values, and names the adapter that a policy other than `sum` derives.
    """
    return lorayard_schemas.composition.recipe_digest(
        composition.policy,
        [(part.digest, part.weight) for part in composition.parts],
        density=composition.density,
        majority_sign=composition.majority_sign,
        svd_rank=composition.svd_rank,
        seed=composition.seed,
    )
