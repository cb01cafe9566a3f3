"""Several weighted adapters on one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from pydantic import ValidationError

from lorayard.errors import InvalidRequestError
from lorayard_schemas.composition import Composition as JobComposition
from lorayard_schemas.composition import CompositionPolicy, MajoritySign

PolicyName = Literal["sum", "priority", "ties", "dare_linear", "dare_ties", "magnitude_prune", "svd", "cat"]

SignName = Literal["total", "frequency"]


@dataclass(frozen=True, slots=True)
class Composition:
    """Adapters by weight, and how they become one: `Composition({"acme/m/a": 0.7, "acme/m/b": 0.3})`.

    Settings that the policy has no use for stay None. What each policy does stands in docs/engine.md.
    """

    adapters: Mapping[str, float] = field(hash=False)
    """`{org}/{model-family}/{task}`, `@version` behind it or not -> what its update is multiplied by (not 0).
    1 to 8 of one base model; the order counts for `priority`."""
    _: KW_ONLY
    policy: CompositionPolicy | PolicyName = CompositionPolicy.SUM
    """`sum` adds them exactly; the others make one adapter of them."""
    density: float | None = None
    """Share of values kept, over 0 and at most 1: ties, dare_linear, dare_ties, magnitude_prune need it."""
    majority_sign: MajoritySign | SignName | None = None
    """ties, dare_ties: which sign wins where parts disagree."""
    svd_rank: int | None = None
    """svd: None is the largest rank of the parts."""
    seed: int | None = None
    """dare_linear, dare_ties: None is 0."""


_SETTINGS = ("density", "majority_sign", "svd_rank", "seed")


def checked_composition(composition: Composition) -> JobComposition:
    """As a job carries it; what was left out is left out.

    Raises:
        InvalidRequestError: it can never be applied; naming the first field at fault.
    """
    if not isinstance(composition, Composition):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        kind = type(composition).__name__
        raise InvalidRequestError(field="composition", reason=f"a Composition is needed, got {kind}")
    adapters = composition.adapters
    if not isinstance(adapters, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        reason = f"a map of adapter to weight is needed, got {type(adapters).__name__}"
        raise InvalidRequestError(field="composition.adapters", reason=reason)
    settings = {name: value for name in _SETTINGS if (value := getattr(composition, name)) is not None}
    parts = tuple({"adapter": adapter, "weight": weight} for adapter, weight in adapters.items())
    try:
        return JobComposition.model_validate({"policy": composition.policy, "parts": parts, **settings})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequestError(
            field=".".join(("composition", *_place(first["loc"], list(adapters)))), reason=first["msg"]
        ) from error


def _place(location: Sequence[int | str], adapters: Sequence[object]) -> list[str]:
    """A part by the adapter that it is given under."""
    match location:
        case ["parts", int(number), *_]:
            return ["adapters", str(adapters[number])]
        case ["parts", *_]:
            return ["adapters"]
        case _:
            return [str(step) for step in location]
