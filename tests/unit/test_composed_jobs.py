"""Several adapters on one job: what may be asked for, under which subject, and what its parts are (C7)."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from lorayard_schemas.adapter import AdapterKind, AdapterRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.composition import MAX_PARTS, AppliedComposition, Composition
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.subjects import Subjects
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.intake import Unreadable, read_delivery
from lorayard_shared.jobs.resolve import BadCompositionError, Resolution, Rule, UnknownAdapterError, resolve
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_workers.engine import recipe
from lorayard_workers.engine.request import Composition as EngineComposition
from lorayard_workers.engine.request import CompositionPolicy, WeightedAdapter
from lorayard_workers.memory.layout import padded_rank

REPLY = "$JS.ACK.YARD_JOBS.dispatch-normal.1.7.9.1700000000000000000.0"
A, B = {"adapter": "a/b/one", "weight": 0.7}, {"adapter": "a/b/two@1", "weight": -0.3}


def job(**composition: Any) -> bytes:
    return encode(
        Job(id="j", prompt="x", composition=Composition.model_validate({"parts": (A, B), **composition}))
    )


def read(body: bytes, adapter: str) -> TakenJob | Unreadable:
    subject = f"yard.jobs.normal.acme.{adapter}"
    return read_delivery(Subjects(), subject=subject, reply=REPLY, body=body, message_headers={})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"parts": (A,)},
        {"parts": (A,), "policy": "cat"},
        {"policy": "priority"},
        {"policy": "svd", "svd_rank": 4},
        {"policy": "ties", "density": 0.5, "majority_sign": "frequency"},
        {"policy": "dare_ties", "density": 1, "seed": 7},
    ],
)
def test_a_sound_composition_travels__c7(given: dict[str, Any]) -> None:
    found = decode(Job, job(**given)).composition
    assert found == Composition.model_validate({"parts": (A, B), **given})


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"parts": ()}, "parts"),
        ({"parts": tuple({"adapter": f"a/b/{n}"} for n in range(MAX_PARTS + 1))}, "parts"),
        ({"parts": (A, A)}, "parts"),
        ({"parts": (A,), "policy": "ties", "density": 0.5}, "parts"),
        ({"parts": (A, {"adapter": "base"})}, "parts.1.adapter"),
        ({"parts": (A, {"adapter": "nonsense"})}, "parts.1.adapter"),
        *(
            ({"parts": (A, {**B, "weight": weight})}, "parts.1.weight")
            for weight in (0, -0.0, 101.0, float("nan"), float("inf"), "much")
        ),
        ({"policy": "mean"}, "policy"),
        ({"policy": "ties"}, "density"),
        ({"policy": "ties", "density": 0.0}, "density"),
        ({"policy": "ties", "density": float("nan")}, "density"),
        ({"policy": "sum", "density": 0.5}, "density"),
        ({"policy": "cat", "majority_sign": "total"}, "majority_sign"),
        ({"policy": "ties", "density": 0.5, "svd_rank": 4}, "svd_rank"),
        ({"policy": "svd", "svd_rank": 0}, "svd_rank"),
        ({"policy": "dare_ties", "density": 0.5, "seed": -1}, "seed"),
    ],
)
def test_what_can_never_be_applied_is_refused_at_the_door_by_its_field__c7(
    given: dict[str, Any], field: str
) -> None:
    asked = {"id": "j", "prompt": "x", "composition": {"parts": (A, B), **given}}
    with pytest.raises(MalformedMessageError) as caught:
        decode(Job, msgpack.packb(asked))
    assert caught.value.field == f"composition.{field}"


def test_its_subject_names_the_first_part_as_no_adapter_is_named__c7() -> None:
    """So whoever knows of no compositions refuses the job, and does not answer without them."""
    found = read(job(), "%2ba/b/one")
    assert isinstance(found, TakenJob)
    assert found.composition == Composition.model_validate({"parts": (A, B)})
    with pytest.raises(UnknownAdapterError, match="is not an adapter"):
        resolve(found.address.adapter, None, {"a/b/one": {"1": RECORDS["one"]}})


@pytest.mark.parametrize(
    ("body", "adapter", "words"),
    [
        (job(), "a/b/one", "names 'a/b/one'"),
        (job(), "_", "names no adapter"),
        (job(), "%2ba/b/two", "'+a/b/one'"),
        (encode(Job(id="j", prompt="x")), "%2ba/b/one", "has none"),
    ],
)
def test_an_adapter_and_a_composition_are_refused_together__c7(body: bytes, adapter: str, words: str) -> None:
    found = read(body, adapter)
    assert isinstance(found, Unreadable)
    assert (found.job, found.field) == ("j", "composition")
    assert words in found.reason


def record(name: str, *, digest: str, base: str = "0", rank: int = 5, version: str = "1") -> AdapterRecord:
    return AdapterRecord(
        name=f"a/b/{name}",
        version=version,
        digest=f"sha256:{digest * 8}",
        base_digest=f"sha256:{base * 8}",
        rank=rank,
        columns=padded_rank(rank),
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1,
    )


RECORDS = {
    "one": record("one", digest="1"),
    "two": record("two", digest="2", rank=12),
    "same": record("same", digest="1"),
    "other": record("other", digest="3", base="9"),
    "theirs": record("theirs", digest="4").model_copy(update={"tenants": ("globex",)}),
    "dora": record("dora", digest="5").model_copy(update={"kind": AdapterKind.DORA}),
}


def chosen(*parts: tuple[str, float], tenant: str = "acme", **given: Any) -> Resolution:
    registry = AdapterRegistry()
    for found in RECORDS.values():
        registry.on_change(found.key, encode(found))
    named = tuple({"adapter": f"a/b/{name}", "weight": weight} for name, weight in parts)
    composition = Composition.model_validate({"parts": named, **given})
    asked = Asked(tenant=tenant, job="j", adapter=composition.address, composition=composition)
    return Directory(registry, None).resolve(asked)


def resolved(*parts: tuple[str, float], **given: Any) -> ResolvedComposition:
    found = chosen(*parts, **given).composition
    assert found is not None
    return found


def test_every_part_is_fixed_by_digest__c7() -> None:
    applied = resolved(("one", 0.7), ("two@1", -0.3), policy="ties", density=0.5).applied
    assert [(part.name, part.version, part.digest, part.weight) for part in applied.parts] == [
        ("a/b/one", "1", RECORDS["one"].digest, 0.7),
        ("a/b/two", "1", RECORDS["two"].digest, -0.3),
    ]
    assert applied.label == "ties of 0.7 a/b/one@1 + -0.3 a/b/two@1"
    assert decode_applied(applied) == applied


def decode_applied(applied: AppliedComposition) -> AppliedComposition:
    return AppliedComposition.model_validate(applied.model_dump(mode="json", exclude_none=True))


def test_a_job_is_planned_by_the_digest_that_its_engine_keeps_the_adapter_by__c7() -> None:
    applied = resolved(("one", 0.7), ("two", -0.3), policy="ties", density=0.5).applied
    parts = tuple(WeightedAdapter(digest=part.digest, weight=part.weight) for part in applied.parts)
    engines = EngineComposition(parts=parts, policy=CompositionPolicy.TIES, density=0.5)
    assert applied.digest == recipe.recipe_digest(engines)
    assert resolved(("two", 1), ("one", 2)).applied.digest == resolved(("one", 2), ("two", 1)).applied.digest
    assert chosen(("one", 1.0)) == Resolution(record=RECORDS["one"], rule=Rule.EXPLICIT)
    assert resolved(("one", 0.5)).applied.digest != RECORDS["one"].digest


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"policy": "sum"}, None),
        ({"policy": "priority"}, 16),
        ({"policy": "ties", "density": 0.5}, 16),
        ({"policy": "cat"}, padded_rank(5 + 12)),
        ({"policy": "svd"}, 16),
        ({"policy": "svd", "svd_rank": 3}, padded_rank(3)),
        ({"policy": "svd", "svd_rank": 900}, padded_rank(5 + 12)),
    ],
)
def test_a_derived_adapter_takes_the_columns_of_its_policy__c7(
    given: dict[str, Any], columns: int | None
) -> None:
    assert resolved(("one", 1), ("two", 1), **given).derived_columns == columns


def test_a_part_that_nobody_has_registered_is_named__c7() -> None:
    with pytest.raises(UnknownAdapterError, match="'a/b/nobody' is not registered") as caught:
        resolved(("one", 1), ("nobody", 1))
    assert (caught.value.spec, caught.value.field) == ("a/b/nobody", "composition")
    with pytest.raises(UnknownAdapterError, match="'a/b/theirs' is not registered"):
        resolved(("one", 1), ("theirs", 1))
    assert resolved(("one", 1), ("theirs", 1), tenant="globex").slots == 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("one", "same"), "are the same adapter"),
        (("one", "two", "other"), "another base model"),
        (("one", "dora"), "DoRA"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_by_name__c7(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadCompositionError, match=words) as caught:
        resolved(*((name, 1.0) for name in names))
    assert caught.value.field == f"composition.parts.{len(names) - 1}.adapter"
