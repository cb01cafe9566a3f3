"""Judges a wish to make one version of several, before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorayard import AdapterRecord, AppliedComposition
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_schemas.adapter import AdapterRecipe, AdapterState, RecipePart
from lorayard_schemas.composition import MAX_SVD_RANK, Composition, CompositionPolicy
from lorayard_shared.jobs.compose import resolve_composition
from lorayard_shared.jobs.resolve import BadCompositionError

NO_TEMPLATE = "none"

MAX_RANK = MAX_SVD_RANK
"""Of any adapter that is read; what a worker takes (LORAYARD_MAX_RANK) is far below, and it says so."""

_EXACT = frozenset({CompositionPolicy.SUM, CompositionPolicy.CAT})


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePlan:
    """What is to be made."""

    applied: AppliedComposition
    recipe: AdapterRecipe
    template: str | None
    """What stands around prompts."""
    tenants: tuple[str, ...]
    """Who may use it."""


def read_weighted(given: Sequence[str]) -> dict[str, float]:
    """`NAME[@VERSION][:WEIGHT]`, several times.

    Raises:
        CommandError: a weight is no number, or an adapter is named twice.
    """
    found: dict[str, float] = {}
    for text in given:
        name, colon, weight = text.partition(":")
        if name in found:
            raise refused("part", f"{name} is named twice: give it one weight")
        try:
            found[name] = float(weight) if colon else 1.0
        except ValueError as error:
            raise refused("part", f"{text!r}: {weight!r} is no weight; write {name}:0.7") from error
    return found


def plan_merge(
    composition: Composition,
    records: Mapping[str, AdapterRecord],
    *,
    template_from: str | None,
    tenants: Sequence[str],
) -> MergePlan:
    """What a composition makes of these versions; `records` by the parts' names.

    Raises:
        CommandError: they do not go together, and why.
    """
    try:
        applied = resolve_composition(composition, lambda spec: (records[spec], None)).composition
    except BadCompositionError as error:
        raise refused("part", error.reason) from error
    if applied is None:
        raise refused("part", "one adapter at its full strength is that adapter: give two, or a weight")
    parts = [records[part.adapter] for part in composition.parts]
    _check_states(parts)
    _check_rank(composition, parts)
    template, source = _template(parts, template_from)
    return MergePlan(
        applied=applied.applied,
        recipe=_recipe(applied.applied, source),
        template=template,
        tenants=_tenants(parts, tenants),
    )


def check_target(known: AdapterRecord | None, plan: MergePlan, parts: Sequence[AdapterRecord]) -> None:
    """Whether a version that is there already may be what comes of the plan: the same recipe again may.

    Raises:
        CommandError: it is something else.
    """
    if known is None:
        return
    if known.recipe is not None:
        other = known.recipe.digest not in (None, plan.recipe.digest)
    else:
        other = plan.recipe.policy in _EXACT and known.rank != sum(part.rank for part in parts)
    if other:
        message = f"{known.label} is there already, and is something else: give another --version"
        raise refused("version", message)


def _check_states(parts: Sequence[AdapterRecord]) -> None:
    for part in parts:
        if part.state is AdapterState.REFUSED:
            why = part.refusal.reason if part.refusal else "no reason is kept"
            raise refused("part", f"{part.label} was refused ({why}), and so would be what is made of it")


def _check_rank(composition: Composition, parts: Sequence[AdapterRecord]) -> None:
    rank = sum(part.rank for part in parts)
    if composition.policy in _EXACT and rank > MAX_RANK:
        raise refused(
            "policy",
            f"{composition.policy} makes an adapter of rank {rank}, and {MAX_RANK} is the most that is read: "
            "use --policy svd with --svd-rank",
        )


def _template(parts: Sequence[AdapterRecord], wanted: str | None) -> tuple[str | None, str | None]:
    """What stands around prompts, and whose that is where one was chosen."""
    if wanted == NO_TEMPLATE:
        return None, None
    if wanted is not None:
        for part in parts:
            if wanted in (part.label, part.name):
                return part.prompt_template, part.label
        raise refused("template", f"{wanted} is none of the parts: name one of them, or {NO_TEMPLATE}")
    if len({part.prompt_template for part in parts}) > 1:
        told = "; ".join(f"{part.label}: {_shown(part.prompt_template)}" for part in parts)
        message = f"the parts stand in different prompt templates ({told}): say --template PART, or none"
        raise refused("template", message)
    return parts[0].prompt_template, None


def _shown(template: str | None) -> str:
    return "none" if template is None else repr(f"{template:.40}")


def _tenants(parts: Sequence[AdapterRecord], given: Sequence[str]) -> tuple[str, ...]:
    """Nobody comes by a merged form to weights that he may not use, unless that is said."""
    if given:
        return tuple(given)
    limited = [part.tenants for part in parts if part.tenants]
    allowed = {tenant for tenants in limited for tenant in tenants if all(tenant in one for one in limited)}
    if limited and not allowed:
        raise refused("tenant", "no tenant may use all of the parts: say with --tenant who may use it")
    return tuple(sorted(allowed))


def _recipe(applied: AppliedComposition, template: str | None) -> AdapterRecipe:
    settings = applied.model_dump(mode="json", exclude={"parts"})
    parts = tuple(RecipePart.model_validate(part.model_dump()) for part in applied.parts)
    return AdapterRecipe(parts=parts, template=template, **settings)


def refused(field: str, message: str) -> CommandError:
    """What is wrong with the wish."""
    return CommandError(ExitCode.BAD_INPUT, "bad_merge", message, field=field)
