"""Several adapters on one request, from Python and from the command line (C7)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lorayard import Composition, GenerateRequest, InvalidRequestError
from lorayard.job_message import build_job, job_address, pack_job
from lorayard_cli.composing import AdapterOptions
from lorayard_cli.failures import CommandError
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.subjects import Subjects

TWO = {"a/b/one": 0.7, "a/b/two@1": -0.3}


def build(composition: Composition) -> Job:
    return build_job(GenerateRequest("hi", composition=composition), job_id="j", now=1.0)


def test_a_composition_travels_in_the_job_and_its_first_part_in_the_subject__c7() -> None:
    asked = Composition(TWO, policy="dare_ties", density=0.5, majority_sign="frequency", seed=3)
    found = decode(Job, pack_job(build(asked))).composition
    assert found is not None
    assert [(part.adapter, part.weight) for part in found.parts] == list(TWO.items())
    assert (found.policy, found.density, found.majority_sign, found.seed) == (
        "dare_ties",
        0.5,
        "frequency",
        3,
    )
    address = job_address(lane="normal", tenant="acme", adapter=None, composition=asked)
    assert Subjects().job(address) == "yard.jobs.normal.acme.%2ba/b/one"
    assert Subjects().parse_job(Subjects().job(address)) == address


@pytest.mark.parametrize(
    ("composition", "field"),
    [
        (Composition({}), "composition.adapters"),
        (Composition({"a/b/one": 0.0}), "composition.adapters.a/b/one"),
        (Composition({**TWO, "nonsense": 1.0}), "composition.adapters.nonsense"),
        (Composition({"base": 1.0}), "composition.adapters.base"),
        (Composition(TWO, policy=cast("Any", "mean")), "composition.policy"),
        (Composition(TWO, policy="ties"), "composition.density"),
        (Composition(TWO, svd_rank=3), "composition.svd_rank"),
        (Composition(cast("Any", ["a/b/one"])), "composition.adapters"),
        (cast("Any", {"a/b/one": 0.5}), "composition"),
    ],
)
def test_what_can_never_be_applied_is_refused_before_it_is_published__c7(
    composition: Composition, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        build(composition)
    assert caught.value.field == field


def test_an_adapter_and_a_composition_are_refused_together__c7() -> None:
    with pytest.raises(InvalidRequestError, match="one of the two") as caught:
        job_address(lane=Lane.NORMAL, tenant="acme", adapter="a/b/one", composition=Composition(TWO))
    assert caught.value.field == "composition"


@pytest.mark.parametrize(
    ("options", "single", "composition"),
    [
        ({}, None, None),
        ({"adapter": ["a/b/one"]}, "a/b/one", None),
        ({"adapter": ["a/b/one=0.5"]}, None, Composition({"a/b/one": 0.5})),
        ({"adapter": ["a/b/one=0.7", "a/b/two@1=-0.3"]}, None, Composition(TWO)),
        ({"adapter": ["a/b/one", "a/b/two"], "compose": "svd", "svd_rank": 4}, None, None),
    ],
)
def test_options_name_one_adapter_or_several_by_weight__c7(
    options: dict[str, Any], single: str | None, composition: Composition | None
) -> None:
    found = AdapterOptions(**options)
    if "compose" in options:
        composition = Composition({"a/b/one": 1.0, "a/b/two": 1.0}, policy="svd", svd_rank=4)
    assert (found.single, found.composition) == (single, composition)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"density": 0.5}, "need the adapters"),
        ({"adapter": ["a/b/one=much"]}, "'much' is no weight"),
        ({"adapter": ["a/b/one=1", "a/b/one=2"]}, "named twice"),
    ],
)
def test_options_that_make_no_sense_are_refused__c7(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        _ = AdapterOptions(**options).composition
