"""What a body's `model` means: who shall answer."""

from __future__ import annotations

from dataclasses import dataclass

from lorayard.composition import Composition

CHOOSE = "auto"
"""The yard's rules choose the adapter, as where a request names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """One adapter, several, or (neither) whom the yard chooses."""

    adapter: str | None = None
    composition: Composition | None = None


def answerer_of(model: str) -> Answerer:
    """`base`, `auto`, `org/model/task`, with `@version` or `@alias` behind it or not, or several with weights
    (`org/model/a=0.7,org/model/b=0.3`), which are summed.

    Raises:
        ValueError: a weight is no number, or an adapter is named twice. Names are checked with the request.
    """
    if model == CHOOSE:
        return Answerer()
    if "=" not in model and "," not in model:
        return Answerer(adapter=model)
    weights: dict[str, float] = {}
    for part in model.split(","):
        name, _, weight = part.strip().partition("=")
        if name in weights:
            raise ValueError(f"{name} is named twice")
        try:
            weights[name] = float(weight) if weight else 1.0
        except ValueError as error:
            raise ValueError(f"{weight!r} is no weight; write NAME=0.7,NAME=0.3") from error
    return Answerer(composition=Composition(weights))
