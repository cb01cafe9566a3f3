"""What a dispatcher and a worker know of compositions, and for how long (C7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.conftest import BASE_DIGEST, make_advert, make_taken

from lorayard_dispatcher.compositions import Compositions
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.sites import demand
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.advert import SlotAdvert
from lorayard_schemas.assignment import AdapterRef, AssignedJob
from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.composition import AppliedComposition, Composition, CompositionPolicy
from lorayard_schemas.job import Job
from lorayard_shared.explaining.decisions import why
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.compose import resolve_composition
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_workers.service.job_composition import is_lost

NAMES = ("a/b/one", "a/b/two")


def record(name: str) -> AdapterRecord:
    return AdapterRecord(
        name=name,
        version="1",
        digest="sha256:" + name[-3:].encode().hex().rjust(8, "0"),
        base_digest=BASE_DIGEST,
        rank=8,
        columns=8,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1,
    )


def composed(policy: CompositionPolicy) -> ResolvedComposition:
    parts = tuple({"adapter": name, "weight": 0.5} for name in NAMES)
    density = 0.5 if policy is CompositionPolicy.TIES else None
    asked = Composition.model_validate({"parts": parts, "policy": policy, "density": density})
    found = resolve_composition(asked, lambda spec: (record(spec), None)).composition
    assert found is not None
    return found


def parked(key: str, made: ResolvedComposition) -> ParkedJob:
    waiting = WaitingJob(
        key=key, group=made.applied.digest, tenant="t", priority=2, enqueued_at=float(len(key))
    )
    taken = make_taken(key, adapter="+a/b/one")
    return ParkedJob(taken=taken, waiting=waiting, adapter=None, rule="explicit", composition=made)


@pytest.mark.parametrize("policy", [CompositionPolicy.SUM, CompositionPolicy.TIES])
def test_a_recipe_is_known_while_a_job_of_it_is_parked__c7(policy: CompositionPolicy) -> None:
    registry = AdapterRegistry()
    compositions, made = Compositions(registry), composed(policy)
    pool, group = Pool(Planner(Policy()), compositions), made.applied.digest
    for key in ("j1", "j2", "j1"):  # the last one again
        pool.put(parked(key, made))
    assert compositions.parts_of == {group: made.applied.digests}
    assert registry.base_of == {group: BASE_DIGEST}
    assert registry.columns_of == ({} if policy is CompositionPolicy.SUM else {group: 8})
    assert compositions.get(group) == made
    pool.take("j1")
    assert group in compositions
    pool.take("j2")
    assert group not in compositions
    assert (compositions.parts_of, registry.base_of, registry.columns_of, registry.labels) == ({}, {}, {}, {})


def test_a_worker_is_told_every_part_and_the_recipe__c7() -> None:
    made = composed(CompositionPolicy.TIES)
    told = AssignedJob.model_validate(parked("k", made).assigned(1.0))
    assert (told.adapter, told.composition) == (None, made.applied)


def test_jobs_of_a_sum_keep_each_part_in_use_and_a_derived_one_its_columns__c7() -> None:
    fleet, made = Fleet("d"), composed(CompositionPolicy.SUM)
    one, two = made.applied.digests
    advert = make_advert(slots=(SlotAdvert(digest=one, columns=8),), columns_total=64, composes=True)
    fleet.on_advert(advert, 0.0)
    held = HeldJob(key="k", lease="l", group=made.applied.digest, tenant="t", job="j", parts=(one, two))
    derived = replace(held, key="m", group="sha256:" + "d" * 8, parts=(), columns=16)
    fleet.give("w", [held, derived])
    (view,) = fleet.views(0.0, 0.0)
    assert {digest: (found.jobs, found.columns) for digest, found in view.resident.items()} == {
        one: (1, 8),
        two: (1, 0),
        derived.group: (1, 16),
    }
    assert view.composes


def test_only_who_composes_and_has_every_part_can_serve__c7() -> None:
    fleet, made = Fleet("d"), composed(CompositionPolicy.SUM)
    group, parts = made.applied.digest, made.applied.digests

    def serves(slots: int = 2) -> bool:
        return fleet.can_serve(group, BASE_DIGEST, 16, parts=parts, slots=slots)

    fleet.on_advert(make_advert("w"), 0.0)
    assert not serves()
    fleet.on_advert(make_advert("w2", composes=True, columns_total=64), 0.0)
    assert serves()
    assert not serves(slots=3)
    assert fleet.composers() == [(2, 64)]
    fleet.on_lacking("w2", parts[1])
    assert not serves()
    assert not fleet.all_lack(group, parts)
    fleet.on_lacking("w", parts[0])
    assert fleet.all_lack(group, parts)


def test_no_worker_is_given_to_a_composition_alone__c7() -> None:
    job = WaitingJob(key="k", group="recipe", tenant="t", priority=2, enqueued_at=0.0)
    queues = {("recipe", 2): [job, job], ("known", 2): [job]}
    assert demand([], queues, {"known"}) == {"known": 1.0, "": 2.0}


def test_the_way_of_a_composition_is_explained__c7() -> None:
    decision = DecisionRecord(
        at=1.0,
        dispatcher="d",
        plan=1,
        job="j",
        tenant="t",
        lane="normal",
        composition=composed(CompositionPolicy.SUM).applied,
        rule="explicit",
        phase="warm",
        source="slot",
        worker="w1",
    )
    assert why(decode(DecisionRecord, encode(decision))) == (
        "w1 held sum of 0.5 a/b/one@1 + 0.5 a/b/two@1 and had room"
    )


def test_a_worker_does_not_answer_without_the_adapters_that_a_job_asks_for__c7() -> None:
    """Whoever gave it out knew of none."""
    applied = composed(CompositionPolicy.SUM).applied
    job = Job.model_validate({"id": "j", "prompt": "x", "composition": {"parts": _parts(applied)}})
    given = AssignedJob(key="k", lease="l", subject="s", body=b"")
    one = AdapterRef(name="a/b/one", version="1", digest=applied.digests[0])
    assert is_lost(job, given)
    assert is_lost(job, given.model_copy(update={"adapter": one}))
    assert not is_lost(job, given.model_copy(update={"composition": applied}))
    single = Job.model_validate({"id": "j", "prompt": "x", "composition": {"parts": _parts(applied)[:1]}})
    assert not is_lost(single, given.model_copy(update={"adapter": one}))
    assert not is_lost(Job(id="j", prompt="x"), given)


def _parts(applied: AppliedComposition) -> list[dict[str, str]]:
    return [{"adapter": part.name} for part in applied.parts]
