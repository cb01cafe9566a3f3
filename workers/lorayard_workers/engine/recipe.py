"""The digest of a composition: its name wherever an adapter's digest would stand. Pure."""

from __future__ import annotations

import hashlib
import json

from lorayard_workers.engine.protocol import Composition, CompositionPolicy


def recipe_digest(composition: Composition) -> str:
    """`sha256:...` over policy, parts, weights and settings; one part at weight 1 is that adapter itself.

    Keys caches of keys and values, and names the adapter that a policy other than `sum` derives.
    """
    parts = [(part.digest, float(part.weight).hex()) for part in composition.parts]
    if composition.policy is CompositionPolicy.SUM:
        parts.sort()  # a sum has no order
        if len(parts) == 1 and composition.parts[0].weight == 1.0:
            return composition.parts[0].digest
    recipe = {
        "parts": parts,
        "policy": composition.policy,
        "density": composition.density,
        "majority_sign": composition.majority_sign,
        "svd_rank": composition.svd_rank,
        "seed": composition.seed,
    }
    digest = hashlib.sha256(b"lorayard-composition-1\n")  # changes if this recipe ever does
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    return f"sha256:{digest.hexdigest()}"
