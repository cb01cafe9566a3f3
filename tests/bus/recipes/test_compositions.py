"""Jobs of several weighted adapters, over a real bus and a real engine (C7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.bus.conftest import Yard

from lorayard import AppliedPart, Client, Composition, JobFailedError, Result
from lorayard_dispatcher import fleet
from lorayard_schemas.composition import Composition as JobComposition
from lorayard_schemas.composition import CompositionPart
from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.recipe import recipe_digest
from lorayard_workers.engine.request import Composition as EngineComposition
from lorayard_workers.engine.request import CompositionPolicy, GenerationRequest, Sampling, WeightedAdapter
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [pytest.mark.bus, pytest.mark.model]

ONE, TWO, FEW, OWN = (f"acme/tiny/{name}" for name in ("one", "two", "few", "own"))
PROMPT = "The quick brown fox"
TOKENS = 12

SUM = Composition({ONE: 2.0, TWO: -1.5})
TIES = Composition({TWO: 1.5, ONE: 2.0}, policy="ties", density=0.5)
THREE = Composition({ONE: 1.0, TWO: 0.5, FEW: 2.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("adapters")
    make_tiny_adapter(root / ONE / "1", seed=1)
    make_tiny_adapter(root / TWO / "1", seed=2)
    make_tiny_adapter(root / FEW / "1", seed=3, targets=("q_proj", "down_proj"))
    own = make_tiny_adapter(root / OWN / "1", seed=4)
    (own / "prompt_template.txt").write_text("Say: {prompt}!")
    return root


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


def digests(folder: Path) -> dict[str, str]:
    return {entry.name: entry.digest for entry in CatalogScanner(root=folder).scan().entries}


def engines(asked: Composition, folder: Path) -> EngineComposition:
    known = digests(folder)
    return EngineComposition(
        parts=tuple(WeightedAdapter(digest=known[name], weight=w) for name, w in asked.adapters.items()),
        policy=CompositionPolicy(asked.policy),
        density=asked.density,
    )


def directly(model: Path, folder: Path, asked: dict[str, tuple[str, EngineComposition]]) -> dict[str, str]:
    """What an engine without a yard around it answers: by name, prompt and composition."""
    folders = {entry.digest: entry.path for entry in CatalogScanner(root=folder).scan().entries}
    config = EngineConfig(
        slots=4,
        max_rank=16,
        rows=4,
        context_tokens=256,
        precision=Precision.FP32,
        device="cpu",
        json_schemas=False,
    )
    engine, outcomes = PackedEngine(model, folders, config), SimpleQueue[Outcome]()
    engine.start()
    try:
        for name, (prompt, composition) in asked.items():
            sampling = Sampling(max_new_tokens=TOKENS)
            engine.submit(
                GenerationRequest(request_id=name, prompt=prompt, composition=composition, sampling=sampling),
                outcomes.put,
            )
        found = [outcomes.get(timeout=30) for _ in asked]
    finally:
        engine.stop()
    assert all(isinstance(outcome, Succeeded) for outcome in found), found
    return {outcome.request_id: outcome.text for outcome in found if isinstance(outcome, Succeeded)}


async def test_a_yard_answers_what_its_engine_answers_and_names_every_part__c7(
    yard: Yard, client: Client, real: dict[str, Any], tiny_model: Path, folder: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(**real)
    asked = {"sum": SUM, "ties": TIES, "own": Composition({OWN: 1.0, ONE: 0.5})}
    found: dict[str, Result] = {}
    for name, composition in asked.items():
        found[name] = await client.generate(PROMPT, composition=composition, max_new_tokens=TOKENS)
    plain = await client.generate(PROMPT, adapter=ONE, max_new_tokens=TOKENS)
    prompts = {"sum": PROMPT, "ties": PROMPT, "own": f"Say: {PROMPT}!"}  # as its first part was trained
    direct = directly(
        tiny_model, folder, {name: (prompts[name], engines(made, folder)) for name, made in asked.items()}
    )
    assert {name: result.text for name, result in found.items()} == direct
    assert len({plain.text, *direct.values()}) == 4
    known = digests(folder)
    for name, composition in asked.items():
        applied = found[name].composition
        assert applied is not None
        assert (found[name].adapter, found[name].digest, found[name].rule) == (None, None, "explicit")
        assert applied.digest == recipe_digest(engines(composition, folder))
        assert applied.policy == composition.policy
        assert applied.parts == tuple(
            AppliedPart(name=part, version="1", digest=known[part], weight=weight)
            for part, weight in composition.adapters.items()
        )


async def test_compositions_and_single_adapters_share_few_slots_and_nothing_is_lost__c7_b6(
    yard: Yard, client: Client, real: dict[str, Any], wait_until: Callable[..., Awaitable[None]]
) -> None:
    await yard.dispatcher()
    await yard.worker(**real)
    asked: list[dict[str, Any]] = [
        {"composition": SUM},
        {"composition": TIES},
        {"composition": THREE},
        {"adapter": ONE},
        {"adapter": FEW},
        {"adapter": OWN},
        {"adapter": "base"},
    ]
    handles = [
        (number % len(asked), await client.submit(PROMPT, max_new_tokens=4, **asked[number % len(asked)]))
        for number in range(42)
    ]
    results = await asyncio.gather(*(handle.result(30) for _, handle in handles))
    texts: dict[int, set[str]] = {}
    for (kind, _), result in zip(handles, results, strict=True):
        texts.setdefault(kind, set()).add(result.text)
    assert all(len(found) == 1 for found in texts.values()), texts

    async def none_left() -> bool:
        return await yard.left() == 0

    await wait_until(none_left)


async def test_what_nobody_can_put_together_is_refused_with_sizes__c7(
    yard: Yard, client: Client, real: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "SETTLED_SECONDS", 0.2)
    await yard.dispatcher()
    small: dict[str, Any] = {**real, "slots": 2}
    await yard.worker("w1", **small)
    await yard.worker("w2")  # an echo engine composes nothing
    with pytest.raises(JobFailedError) as caught:
        await client.generate(PROMPT, composition=THREE)
    error = caught.value.result.error
    assert error is not None
    assert (error.kind, error.code, error.field) == (
        ErrorKind.RETRYABLE,
        "composition_unavailable",
        "composition",
    )
    assert "1 acme/tiny/one@1 + 0.5 acme/tiny/two@1 + 2 acme/tiny/few@1" in error.message
    assert "3 slots with 24 columns: the largest has 2 slots" in error.message
    assert (await client.generate(PROMPT, composition=SUM, max_new_tokens=2)).worker == "w1"


async def test_a_part_that_nobody_knows_is_named_and_two_ways_of_asking_refused__c7(
    yard: Yard, client: Client, adapters: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    with pytest.raises(JobFailedError) as caught:
        await client.generate("x", composition=Composition({"acme/tiny/echo": 1.0, "acme/tiny/nobody": 0.5}))
    error = caught.value.result.error
    assert error is not None
    assert (error.code, error.field) == ("unknown_adapter", "composition")
    assert "'acme/tiny/nobody'" in error.message
    parts = (CompositionPart(adapter="acme/tiny/echo", weight=0.5),)
    await yard.publish(
        Job(id="both", prompt="x", composition=JobComposition(parts=parts)), adapter="acme/tiny/echo"
    )
    refused = await yard.result("both")
    assert refused.state is ResultState.FAILED
    assert refused.error is not None
    assert (refused.error.code, refused.error.field) == ("malformed_job", "composition")


async def test_a_composition_is_of_its_own_turn_only__c7_b3(
    yard: Yard, client: Client, real: dict[str, Any]
) -> None:
    await yard.dispatcher()
    await yard.worker(**real)
    await client.generate(PROMPT, adapter=ONE, session="s", max_new_tokens=2)
    composed = await client.generate(PROMPT, composition=SUM, session="s", max_new_tokens=2)
    assert composed.composition is not None
    after = await client.generate(PROMPT, session="s", max_new_tokens=2)
    assert (after.adapter, after.rule) == (ONE, "session")
    await client.generate(PROMPT, composition=SUM, session="new", max_new_tokens=2)
    first = await client.generate(PROMPT, session="new", max_new_tokens=2)
    assert (first.adapter, first.composition, first.rule) == (None, None, "base")


async def test_without_a_dispatcher_workers_give_them_to_who_can__c7_a3(
    yard: Yard, client: Client, real: dict[str, Any]
) -> None:
    soon: dict[str, Any] = {"emergency": True, "emergency_after_seconds": 0.3}
    await yard.worker("w1", **soon)  # an echo engine
    await yard.worker("w2", **{**real, **soon})
    handles = [await client.submit(PROMPT, composition=SUM, max_new_tokens=2) for _ in range(6)]
    results = await asyncio.gather(*(handle.result(30) for handle in handles))
    assert {(result.worker, result.composition is not None) for result in results} == {("w2", True)}
