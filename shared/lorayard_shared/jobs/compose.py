"""Which adapters a composition is made of: each part fixed by digest (C7)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lorayard_schemas.alias import AliasRef
from lorayard_schemas.composition import (
    AppliedComposition,
    AppliedPart,
    Composition,
    CompositionPolicy,
    MajoritySign,
    recipe_digest,
)
from lorayard_schemas.routes import RouteRule
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_shared.jobs.layer import Find, Layer
from lorayard_shared.jobs.resolve import BadCompositionError, Resolution, Rule, UnknownAdapterError

REMEMBERED = 4096
"""Compositions that came of rules and of jobs: many jobs have the same one."""


class Recipe(NamedTuple):
    """How several adapters become one; each as in a job's composition."""

    policy: CompositionPolicy = CompositionPolicy.SUM
    density: float | None = None
    majority_sign: MajoritySign | None = None
    svd_rank: int | None = None
    seed: int | None = None


SUM = Recipe()


def recipe_of(said: Composition | AppliedComposition | RouteRule) -> Recipe:
    """How it wants its parts to become one."""
    return Recipe(
        said.policy or CompositionPolicy.SUM, said.density, said.majority_sign, said.svd_rank, said.seed
    )


def resolve_composition(composition: Composition, find: Find) -> Resolution:
    """Every part as `find` finds an adapter that a job names. One adapter at full strength is that adapter.

    Raises:
        UnknownAdapterError: a part is not registered or not active; it names the part.
        BadCompositionError: two parts are one adapter, do not add up, or are for different base models.
    """
    layers = [_layer(part.adapter, part.weight, find) for part in composition.parts]
    recipe = recipe_of(composition)
    if not _is_one(recipe, layers):
        _check_together(layers)
    return combine(recipe, layers, Rule.EXPLICIT)


def combine(recipe: Recipe, layers: Sequence[Layer], rule: str) -> Resolution:
    """What comes of adapters that go together. One at full strength is that adapter."""
    if _is_one(recipe, layers):
        return Resolution(record=layers[0].record, rule=rule, alias=layers[0].alias)
    parts = tuple(
        _Part(
            layer.record.name,
            layer.record.version,
            layer.record.digest,
            layer.weight,
            None if layer.alias is None else layer.alias.name,
            0 if layer.alias is None else layer.alias.revision,
        )
        for layer in layers
    )
    found = ResolvedComposition(
        applied=_applied(recipe, parts), records=tuple(layer.record for layer in layers)
    )
    return Resolution(record=None, rule=rule, composition=found)


def _is_one(recipe: Recipe, layers: Sequence[Layer]) -> bool:
    """As `recipe_digest` has it."""
    return recipe.policy is CompositionPolicy.SUM and len(layers) == 1 and layers[0].weight == 1


class _Part(NamedTuple):
    """What an `AppliedPart` says: its hash costs less."""

    name: str
    version: str
    digest: str
    weight: float
    alias: str | None
    revision: int


@lru_cache(maxsize=REMEMBERED)
def _applied(recipe: Recipe, parts: tuple[_Part, ...]) -> AppliedComposition:
    settings = recipe._asdict()
    return AppliedComposition(
        parts=tuple(
            AppliedPart(
                name=part.name,
                version=part.version,
                digest=part.digest,
                weight=part.weight,
                alias=None if part.alias is None else AliasRef(name=part.alias, revision=part.revision),
            )
            for part in parts
        ),
        digest=_digest(recipe, parts),
        **settings,
    )


def _digest(recipe: Recipe, parts: Sequence[_Part]) -> str:
    named = [(part.digest, part.weight) for part in parts]
    return recipe_digest(
        recipe.policy,
        named,
        density=recipe.density,
        majority_sign=recipe.majority_sign,
        svd_rank=recipe.svd_rank,
        seed=recipe.seed,
    )


def _layer(spec: str, weight: float, find: Find) -> Layer:
    try:
        record, alias = find(spec)
    except UnknownAdapterError as error:
        raise UnknownAdapterError(spec=spec, reason=error.reason, field="composition") from error
    return Layer(spec=spec, record=record, weight=weight, alias=alias)


def _check_together(layers: Sequence[Layer]) -> None:
    seen: dict[str, str] = {}
    for index, layer in enumerate(layers):
        at, name = f"composition.parts.{index}.adapter", layer.spec
        if (other := seen.setdefault(layer.record.digest, name)) != name:
            raise BadCompositionError(spec=name, field=at, reason=f"{name} and {other} are the same adapter")
        if fault := layer.misfit(layers[:index]):
            raise BadCompositionError(spec=name, field=at, reason=fault)
