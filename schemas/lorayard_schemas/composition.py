"""Several weighted adapters on one job: what is asked for, what came of it, and its digest (C7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from lorayard_schemas.alias import AliasRef
from lorayard_schemas.message import Part
from lorayard_schemas.names import BASE, AdapterSpec, Digest

MAX_PARTS = 8
"""A sum costs the slots and the columns of all its parts; published recipes mix two to five."""

MAX_WEIGHT = 100.0
"""Either way. Published weights lie within 3; what would overflow a step is refused before it gets there."""

MAX_SVD_RANK = 4096
"""A worker's own limit (LORAYARD_MAX_RANK) is far below."""

COMPOSED = "+"
"""Begins the adapter token of a composition's subject: no adapter's name does, so whoever knows of none
refuses the job instead of running it without."""


class CompositionPolicy(StrEnum):
    """How several adapters become one update. All but `sum` make one derived adapter, kept by its recipe."""

    SUM = "sum"
    """W + Σ weight·B·A, exactly, each part in its own slot; nothing is merged."""
    PRIORITY = "priority"
    """For each linear only the first part, in the order of the request, that targets it; never a blend."""
    TIES = "ties"
    """Small values dropped, signs elected, the agreeing ones averaged (Yadav et al. 2023)."""
    DARE_LINEAR = "dare_linear"
    """Values dropped at random, the rest scaled up, then summed (Yu et al. 2023)."""
    DARE_TIES = "dare_ties"
    """Dropped as in `dare_linear`, merged as in `ties`."""
    MAGNITUDE_PRUNE = "magnitude_prune"
    """Small values dropped, the rest summed."""
    SVD = "svd"
    """The sum's best approximation of rank `svd_rank`."""
    CAT = "cat"
    """The exact sum as one adapter, whose rank is the sum of the ranks."""


class MajoritySign(StrEnum):
    """Which sign wins where parts disagree."""

    TOTAL = "total"
    """The larger sum of values."""
    FREQUENCY = "frequency"
    """The larger number of parts."""


PRUNING = frozenset(
    {
        CompositionPolicy.TIES,
        CompositionPolicy.DARE_LINEAR,
        CompositionPolicy.DARE_TIES,
        CompositionPolicy.MAGNITUDE_PRUNE,
    }
)
MERGING = PRUNING | {CompositionPolicy.SVD}
"""PEFT would pass a single part through as it is, whatever the settings."""
USED_BY = {
    "density": PRUNING,
    "majority_sign": frozenset({CompositionPolicy.TIES, CompositionPolicy.DARE_TIES}),
    "svd_rank": frozenset({CompositionPolicy.SVD}),
    "seed": frozenset({CompositionPolicy.DARE_LINEAR, CompositionPolicy.DARE_TIES}),
}


def setting_fault(policy: CompositionPolicy, name: str, value: float | str | None) -> str | None:
    """Why a setting does not go with a policy; None: it does."""
    if value is not None and policy not in USED_BY[name]:
        return f"{policy} has no such setting (only: {', '.join(sorted(USED_BY[name]))})"
    if name == "density" and policy in PRUNING and (not isinstance(value, int | float) or not 0 < value <= 1):
        return f"it is {value}: it must be over 0 and at most 1"
    if name == "svd_rank" and isinstance(value, int | float) and value < 1:
        return f"it is {value}: it must be at least 1"
    if name == "seed" and isinstance(value, int | float) and value < 0:
        return f"it is {value}: it cannot be negative"
    return None


def parts_fault(policy: CompositionPolicy, adapters: Sequence[str]) -> str | None:
    """Why adapters, as they are named, do not make one composition; None: they may."""
    twice = next((name for name in adapters if adapters.count(name) > 1), None)
    if twice is not None:
        return f"{twice} is named twice"
    return f"{policy} needs two or more" if len(adapters) == 1 and policy in MERGING else None


def recipe_digest(
    policy: CompositionPolicy,
    parts: Iterable[tuple[str, float]],
    *,
    density: float | None,
    majority_sign: MajoritySign | None,
    svd_rank: int | None,
    seed: int | None,
) -> str:
    """`sha256:...` over policy, parts (digest and weight) and settings: a composition's name wherever an
    adapter's digest would stand. One part at weight 1 is that adapter itself."""
    named = [(digest, float(weight).hex()) for digest, weight in parts]
    if policy is CompositionPolicy.SUM:
        named.sort()  # a sum has no order
        if len(named) == 1 and named[0][1] == (1.0).hex():
            return named[0][0]
    recipe = {
        "parts": named,
        "policy": policy,
        "density": density,
        "majority_sign": majority_sign,
        "svd_rank": svd_rank,
        "seed": seed,
    }
    digest = hashlib.sha256(b"lorayard-composition-1\n")  # changes if this recipe ever does
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    return f"sha256:{digest.hexdigest()}"


def _an_adapter(spec: str) -> str:
    if spec == BASE:
        raise ValueError("the base model is below every composition: name adapters")
    return spec


def _no_zero(weight: float) -> float:
    if weight == 0:
        raise ValueError("it must not be 0: leave the part out")
    return weight


Weight = Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT, allow_inf_nan=False), AfterValidator(_no_zero)]


class CompositionPart(Part):
    """One adapter of a composition, and what its update is multiplied by."""

    adapter: Annotated[AdapterSpec, AfterValidator(_an_adapter)]
    weight: Weight = 1.0


class _Recipe(Part):
    """How parts become one; settings that the policy has no use for must be left out."""

    policy: CompositionPolicy = CompositionPolicy.SUM
    density: float | None = Field(default=None, allow_inf_nan=False, validate_default=True)
    """Share of values kept, over 0 and at most 1: ties, dare_linear, dare_ties, magnitude_prune need it."""
    majority_sign: MajoritySign | None = None
    """ties, dare_ties; without it `total`."""
    svd_rank: int | None = Field(default=None, le=MAX_SVD_RANK)
    """svd; without it the largest rank of the parts."""
    seed: int | None = Field(default=None, lt=2**63)
    """dare_linear, dare_ties; without it 0: the same recipe gives the same weights everywhere."""

    @field_validator("density", "majority_sign", "svd_rank", "seed")
    @classmethod
    def _fits_the_policy(
        cls, value: float | MajoritySign | None, info: ValidationInfo
    ) -> float | MajoritySign | None:
        policy = info.data.get("policy")
        if policy is not None and (fault := setting_fault(policy, info.field_name or "", value)):
            raise ValueError(fault)
        return value


class Composition(_Recipe):
    """Several adapters on one job. Its subject's adapter token is `+` and the first part's name."""

    parts: tuple[CompositionPart, ...] = Field(min_length=1, max_length=MAX_PARTS)
    """The order counts for `priority` only."""

    @field_validator("parts")
    @classmethod
    def _sound_parts(
        cls, parts: tuple[CompositionPart, ...], info: ValidationInfo
    ) -> tuple[CompositionPart, ...]:
        # Without a policy that can be read, the twice named alone counts.
        policy = info.data.get("policy", CompositionPolicy.SUM)
        if fault := parts_fault(policy, [part.adapter for part in parts]):
            raise ValueError(fault)
        return parts

    @property
    def label(self) -> str:
        """For people."""
        parts = " + ".join(f"{part.weight:g} {part.adapter}" for part in self.parts)
        return f"{self.policy} of {parts}"

    @property
    def address(self) -> str:
        """What stands for an adapter's name in the job's subject: by it jobs are shared out to partitions."""
        return COMPOSED + self.parts[0].adapter


class AppliedPart(Part):
    """One adapter of a composition: fixed by digest, named for people."""

    name: str
    version: str
    digest: Digest
    weight: float
    alias: AliasRef | None = None
    """That led to the version, and its revision then."""


class AppliedComposition(_Recipe):
    """A composition whose parts are fixed; `digest` is that of the recipe, the same for every job of it."""

    parts: tuple[AppliedPart, ...] = Field(min_length=1)
    digest: Digest

    @property
    def digests(self) -> tuple[str, ...]:
        """Of the parts."""
        return tuple(part.digest for part in self.parts)

    @property
    def summed(self) -> bool:
        """Whether each part lies in a slot of its own; else one adapter is derived from them."""
        return self.policy is CompositionPolicy.SUM

    @property
    def label(self) -> str:
        """For people."""
        parts = " + ".join(f"{part.weight:g} {part.name}@{part.version}" for part in self.parts)
        return f"{self.policy} of {parts}"
