"""A new version of an adapter while rows of the old one run: nobody gets the wrong weights (D5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from lorayard_workers.engine.outcome import Outcome, Succeeded, Tier
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import make_tiny_adapter

VERSIONS = 6
PROMPTS = ("Hello there", "Hello there, how are you today?", "Count: 1 2 3 4")  # the first two share a start


def ask(request_id: str, adapter: str, *, prompt: str = PROMPTS[0], tokens: int = 24) -> GenerationRequest:
    sampling = Sampling(max_new_tokens=tokens)
    return GenerationRequest(request_id=request_id, prompt=prompt, adapter=adapter, sampling=sampling)


def succeeded(outcome: Outcome) -> Succeeded:
    assert isinstance(outcome, Succeeded), outcome
    return outcome


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """One adapter trained again and again: same shape, other weights."""
    return [make_tiny_adapter(tmp_path / str(v), seed=300 + v, rank=8) for v in range(VERSIONS)]


def alone(yard: Any, digests: Iterable[str]) -> dict[tuple[str, str], str]:
    """(digest, prompt) -> text of the request when nothing else runs."""
    return {
        (digest, prompt): succeeded(yard.run(ask("a", digest, prompt=prompt))["a"]).text
        for digest in digests
        for prompt in PROMPTS
    }


def test_reload_after_reload_under_running_rows_every_token_is_its_versions_own__d5_c6(
    start_yard: Callable[..., Any], versions: list[Path]
) -> None:
    """Each version comes while rows of the one before decode; two slots, so old ones must leave."""
    yard = start_yard(slots=2, rows=6)
    outcomes = SimpleQueue[Outcome]()
    digests: list[str] = []
    asked: dict[str, tuple[str, str]] = {}
    found: dict[str, Succeeded] = {}

    def submit(digest: str) -> None:
        for prompt in PROMPTS:
            name = str(len(asked))
            asked[name] = (digest, prompt)
            yard.engine.submit(ask(name, digest, prompt=prompt), outcomes.put)

    for folder in versions:
        if digests:
            submit(digests[-1])
        digests.append(yard.add(folder))
        submit(digests[-1])  # from here on the new one, beside rows of the old
        while len(asked) - len(found) > len(PROMPTS):
            outcome = succeeded(outcomes.get(timeout=30))
            found[outcome.request_id] = outcome
    while len(found) < len(asked):  # none is dropped
        outcome = succeeded(outcomes.get(timeout=30))
        found[outcome.request_id] = outcome
    assert yard.engine.residency().disk_loads == VERSIONS  # one for each reload
    for name, outcome in found.items():
        assert [part.digest for part in outcome.adapters] == [asked[name][0]]
    fresh = start_yard(slots=8, rows=1)
    fresh.adapters.update(yard.adapters)
    wanted = alone(fresh, digests)
    assert {name: one.text for name, one in found.items()} == {n: wanted[key] for n, key in asked.items()}
    assert len({wanted[digest, PROMPTS[0]] for digest in digests}) > 1  # versions do differ


def test_rollback_after_a_reload_is_the_old_digest_again_without_a_disk_read__d5_d4(
    start_yard: Callable[..., Any], versions: list[Path]
) -> None:
    yard = start_yard(slots=2)
    old, new, other = (yard.add(folder) for folder in versions[:3])
    first = succeeded(yard.run(ask("a", old))["a"])
    yard.run(ask("b", new))
    back = succeeded(yard.run(ask("c", old))["c"])
    assert (back.text, back.tier) == (first.text, Tier.SLOT)
    yard.run(ask("d", new), ask("e", other))  # now the old one has left its slot
    loads = yard.engine.residency().disk_loads
    back = succeeded(yard.run(ask("f", old))["f"])
    assert (back.text, back.tier) == (first.text, Tier.HOST)
    assert yard.engine.residency().disk_loads == loads == 3


def test_a_reload_can_be_waiting_in_its_slot_before_the_switch__d5_c4(
    start_yard: Callable[..., Any], versions: list[Path]
) -> None:
    """Preload, then switch, then unload the old: no row of either version waits for a load."""
    yard = start_yard(slots=3)
    old, new = (yard.add(folder) for folder in versions[:2])
    outcomes = SimpleQueue[Outcome]()
    yard.run(ask("warm", old, tokens=1))
    for i in range(4):
        yard.engine.submit(ask(f"old{i}", old, tokens=100), outcomes.put)
    yard.engine.preload(new)
    tick = 0
    while new not in {slot.digest for slot in yard.engine.residency().slots}:
        yard.run(ask(f"tick{tick}", old, tokens=1))
        tick += 1
    yard.engine.submit(ask("new", new), outcomes.put)
    yard.engine.unload(old)
    found = {one.request_id: succeeded(one) for one in (outcomes.get(timeout=30) for _ in range(5))}
    assert {one.tier for one in found.values()} == {Tier.SLOT}
    assert len({found[f"old{i}"].text for i in range(4)}) == 1
    yard.run(ask("last", new, tokens=1))
    residency = yard.engine.residency()
    assert old not in residency.host
    assert [slot.digest for slot in residency.slots] == [new]
