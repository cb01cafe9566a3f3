"""Does a row feel its neighbours? The same requests in random company and alone, token for token (C6)."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from random import Random
from typing import Any

import pytest

from lorayard_workers.engine.protocol import (
    Cancelled,
    Composition,
    GenerationRequest,
    Outcome,
    Sampling,
    Succeeded,
    WeightedAdapter,
)

ROWS_COMPARED = 1500
SLOTS = 5
"""Fewer than adapters: slots change hands all the time."""
IN_FLIGHT = 40
"""Over twice the rows: some always wait for a place or a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a request asks; equal ones must get equal answers."""

    prompt: str
    adapter: str | None = None
    composition: Composition | None = None
    tokens: int

    def request(self, name: str) -> GenerationRequest:
        """Greedy: nothing but the model decides."""
        return GenerationRequest(
            request_id=name,
            prompt=self.prompt,
            adapter=self.adapter,
            composition=self.composition,
            sampling=Sampling(max_new_tokens=self.tokens),
        )


def random_asks(random: Random, digests: list[str]) -> list[Ask]:
    """Few enough that each comes often, beside ever new neighbours; prompts of one to three chunks."""
    prompts = ["".join(random.choices(string.printable, k=random.randint(1, 80))) for _ in range(12)]
    sums = [
        Composition(
            parts=tuple(
                WeightedAdapter(digest=digest, weight=random.choice((-0.5, 0.3, 0.8, 1.0)))
                for digest in random.sample(digests, random.randint(1, 3))
            )
        )
        for _ in range(6)
    ]
    asks: list[Ask] = []
    for _ in range(100):
        prompt, tokens = random.choice(prompts), random.choice((1, 2, 6))
        if random.random() < 0.25:
            asks.append(Ask(prompt=prompt, composition=random.choice(sums), tokens=tokens))
        else:
            asks.append(Ask(prompt=prompt, adapter=random.choice([None, *digests]), tokens=tokens))
    return asks


def disturb(engine: Any, random: Random, digests: list[str], newest: int) -> None:
    """What an operator or a caller may do at any moment."""
    match random.randint(0, 29):
        case 0:
            engine.preload(random.choice(digests))
        case 1:
            engine.unload(random.choice(digests))
        case 2:
            engine.pin(digests[0])
        case 3:
            engine.unpin(digests[0])
        case 4 | 5:
            engine.cancel(str(random.randint(max(0, newest - IN_FLIGHT), newest)))
        case _:
            pass


def answer(outcome: Outcome) -> object:
    """What must be equal; a failure equals nothing."""
    if not isinstance(outcome, Succeeded):
        return object()
    return outcome.text, outcome.completion_tokens, outcome.finish_reason


@pytest.mark.timeout(240)  # 25 s of one core; the machine may be shared
def test_no_bleed_among_rows_adapters_sums_loads_evictions_and_cancellations__c5_c6_c7(
    start_yard: Callable[..., Any],
    tiny_adapters: dict[str, Path],
    tally: Callable[[str, int], None],
) -> None:
    random = Random(20)
    digests = list(tiny_adapters)
    crowd = start_yard(
        slots=SLOTS,
        slot_bytes=64 * 37_376,  # columns: fewer than five adapters of rank 16
        rows=16,
        host_bytes=2 << 20,  # about five adapters: others come from disk again
        prefill_tokens=64,  # so that prompts come in chunks beside rows that decode
        ageing_seconds=0.02,
    ).engine
    kinds = random_asks(random, digests)
    asked: list[Ask] = []
    found: dict[str, Outcome] = {}
    ended = SimpleQueue[Outcome]()
    while len(asked) < ROWS_COMPARED * 1.15 or len(found) < len(asked):
        if len(asked) - len(found) >= IN_FLIGHT or len(asked) >= ROWS_COMPARED * 1.15:
            outcome = ended.get(timeout=60)
            found[outcome.request_id] = outcome
            continue
        ask = random.choice(kinds)
        crowd.submit(ask.request(str(len(asked))), ended.put)
        disturb(crowd, random, digests, len(asked))
        asked.append(ask)
    residency = crowd.residency()
    alone = start_yard(slots=8, rows=1)
    wanted = {ask: answer(alone.run(ask.request("alone"))["alone"]) for ask in dict.fromkeys(asked)}
    fits = {ask for ask in wanted if isinstance(wanted[ask], tuple)}
    assert fits == set(wanted)
    compared = [
        (ask, found[str(i)]) for i, ask in enumerate(asked) if not isinstance(found[str(i)], Cancelled)
    ]
    different = [(ask, outcome) for ask, outcome in compared if answer(outcome) != wanted[ask]]
    assert different == []
    assert len(compared) >= ROWS_COMPARED
    assert residency.evictions > 50
    assert residency.disk_loads > 50
    tally("bleed rows", len(compared))
    tally("bleed rows of sums", sum(ask.composition is not None for ask, _ in compared))
    tally("bleed adapters", len(digests))
