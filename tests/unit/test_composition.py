"""A request that names several adapters is judged before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from lorayard_workers.engine.composition import MAX_PARTS, check_adapters, check_composition
from lorayard_workers.engine.request import (
    Composition,
    CompositionPolicy,
    GenerationRequest,
    MajoritySign,
    WeightedAdapter,
)
from lorayard_workers.errors import AdapterUnknownError, RequestRefusedError

A, B = WeightedAdapter(digest="sha256:a"), WeightedAdapter(digest="sha256:b", weight=-0.5)
NAN, INFINITY = float("nan"), float("inf")


def many(count: int) -> tuple[WeightedAdapter, ...]:
    return tuple(WeightedAdapter(digest=f"sha256:{i}") for i in range(count))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"parts": (A,)},
        {"parts": (A,), "policy": "cat"},
        {"parts": (A,), "policy": "priority"},
        {"parts": many(MAX_PARTS)},
        {"policy": "priority"},
        {"policy": "cat"},
        {"policy": "svd"},
        {"policy": "svd", "svd_rank": 4},
        {"policy": "ties", "density": 0.5, "majority_sign": MajoritySign.FREQUENCY},
        {"policy": "dare_linear", "density": 1.0, "seed": 0},
        {"policy": "dare_ties", "density": 0.1, "seed": 7, "majority_sign": MajoritySign.TOTAL},
        {"policy": "magnitude_prune", "density": 0.5},
    ],
)
def test_a_sound_composition_passes__c7(settings: dict[str, Any]) -> None:
    check_composition(compose(**settings))


@pytest.mark.parametrize(
    ("settings", "field", "words"),
    [
        ({"parts": ()}, "parts", "there are 0"),
        ({"parts": many(MAX_PARTS + 1)}, "parts", "there are 9: send 1 to 8"),
        ({"parts": (A, B, A)}, "parts[2].digest", "sha256:a is named twice"),
        *(
            ({"parts": (A, WeightedAdapter(digest="sha256:c", weight=weight))}, "parts[1].weight", "finite")
            for weight in (0.0, -0.0, NAN, INFINITY, -INFINITY)
        ),
        *(
            ({"policy": policy, "density": density}, "density", f"it is {density}")
            for policy in ("ties", "dare_linear", "dare_ties", "magnitude_prune")
            for density in (None, 0.0, -0.1, 1.1, NAN)
        ),
        *(
            ({"policy": policy, "density": 0.5}, "density", f"{policy} has no such setting")
            for policy in ("sum", "priority", "svd", "cat")
        ),
        ({"svd_rank": 4}, "svd_rank", "only: svd"),
        ({"parts": (A,), "policy": "svd"}, "parts", "two or more"),
        ({"parts": (A,), "policy": "ties", "density": 0.5}, "parts", "two or more"),
        ({"policy": "svd", "svd_rank": 0}, "svd_rank", "at least 1"),
        ({"policy": "cat", "seed": 1}, "seed", "only: dare_linear, dare_ties"),
        ({"policy": "dare_ties", "density": 0.5, "seed": -1}, "seed", "negative"),
        (
            {"policy": "dare_linear", "density": 0.5, "majority_sign": MajoritySign.TOTAL},
            "majority_sign",
            "only: dare_ties, ties",
        ),
    ],
)
def test_a_senseless_composition_is_refused_naming_the_field__c7_g3(
    settings: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(RequestRefusedError) as refused:
        check_composition(compose(**settings))
    assert refused.value.code == "bad_composition"
    assert refused.value.field == f"composition.{field}"
    assert words in refused.value.message


def test_one_adapter_and_a_composition_exclude_each_other__c7() -> None:
    request = GenerationRequest(request_id="a", prompt="x", adapter="sha256:a", composition=compose())
    with pytest.raises(RequestRefusedError, match="names an adapter too") as refused:
        check_adapters(request, {"sha256:a", "sha256:b"})
    assert refused.value.field == "composition"


@pytest.mark.parametrize("changes", [{"adapter": "sha256:b"}, {"composition": Composition(parts=(A, B))}])
def test_an_adapter_that_is_not_here_is_named(changes: dict[str, Any]) -> None:
    request = GenerationRequest(request_id="a", prompt="x", **changes)
    check_adapters(request, {"sha256:a", "sha256:b"})
    with pytest.raises(AdapterUnknownError, match="sha256:b"):
        check_adapters(request, {"sha256:a"})


def compose(**settings: Any) -> Composition:
    given: dict[str, Any] = {"parts": (A, B)} | settings
    given["policy"] = CompositionPolicy(given.get("policy", "sum"))
    return Composition(**given)
