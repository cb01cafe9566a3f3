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

from lorayard_workers.engine.outcome import Cancelled, Outcome, Succeeded
from lorayard_workers.engine.request import Composition, GenerationRequest, Sampling, WeightedAdapter

ROWS_COMPARED = 1500
SLOTS = 5
"""Fewer than adapters: slots change hands all the time."""
IN_FLIGHT = 40
"""Over twice the rows: some always wait for a place or a slot."""
LONG_BUNCHES, LONG_TOKENS = 4, 80
"""Tokens for three blocks with their prompts."""
BLOCK_TOKENS, BLOCK_BYTES = 64, 64 * 2048
"""Of the tiny model's cache in fp32: 4 layers, 2 kv heads of width 32, keys and values."""
BLOCKS = 9
"""For eight rows. One that starts is sure of a second; the long ones need a third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a request asks; equal ones must get equal answers."""

    prompt: str
    adapter: str | None = None
    composition: Composition | None = None
    sampling: Sampling

    def request(self, name: str) -> GenerationRequest:
        """Greedy, or with a seed: nothing else decides."""
        return GenerationRequest(
            request_id=name,
            prompt=self.prompt,
            adapter=self.adapter,
            composition=self.composition,
            sampling=self.sampling,
        )


Pairs = list[tuple[Ask, Outcome]]


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
        prompt, sampling = random.choice(prompts), Sampling(max_new_tokens=random.choice((1, 2, 6)))
        if random.random() < 0.25:
            asks.append(Ask(prompt=prompt, composition=random.choice(sums), sampling=sampling))
        else:
            asks.append(Ask(prompt=prompt, adapter=random.choice([None, *digests]), sampling=sampling))
    return asks


def growing_asks(random: Random, digests: list[str]) -> list[Ask]:
    """Short ones in random order, and bunches of long ones that run together and push each other out.

    Three of four are drawn with a seed. Prompts nearly fill a block; every prompt comes with several seeds,
    and every seed with several prompts.
    """
    prompts = ["".join(random.choices(string.printable, k=random.randint(54, 62))) for _ in range(4)]
    ways: list[dict[str, Any]] = [{}, {"seed": 1}, {"seed": 2, "top_k": 40}, {"seed": 3, "top_p": 0.9}]

    def ask(prompt: str, way: dict[str, Any], tokens: int) -> Ask:
        sampling = Sampling(max_new_tokens=tokens, temperature=0.9 if way else 0.0, ignore_eos=True, **way)
        return Ask(prompt=prompt, adapter=random.choice([None, *digests[:3]]), sampling=sampling)

    short = [ask(prompt, way, 12) for prompt in prompts for way in ways]
    long = [ask(random.choice(prompts), way, LONG_TOKENS) for way in ways * 2]
    asks: list[Ask] = []
    for _ in range(LONG_BUNCHES):
        asks += random.choices(short, k=12)
        asks += random.sample(long, 6)
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


def crowded(engine: Any, asks: list[Ask], disturbed: Callable[[int], None]) -> Pairs:
    """In their order, a bounded number at a time; what ended otherwise than by a cancellation."""
    found: dict[str, Outcome] = {}
    ended = SimpleQueue[Outcome]()
    sent = 0
    while len(found) < len(asks):
        if sent - len(found) >= IN_FLIGHT or sent == len(asks):
            outcome = ended.get(timeout=60)
            found[outcome.request_id] = outcome
            continue
        engine.submit(asks[sent].request(str(sent)), ended.put)
        disturbed(sent)
        sent += 1
    pairs = [(ask, found[str(i)]) for i, ask in enumerate(asks)]
    return [pair for pair in pairs if not isinstance(pair[1], Cancelled)]


def differing(alone: Any, pairs: Pairs) -> Pairs:
    """Those whose answer is not that of the same request alone."""
    wanted = {ask: answer(alone.run(ask.request("alone"))["alone"]) for ask, _ in pairs}
    assert all(isinstance(one, tuple) for one in wanted.values())
    return [(ask, outcome) for ask, outcome in pairs if answer(outcome) != wanted[ask]]


@pytest.mark.timeout(480)  # 25 s of one core; the machine may be shared
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
    asks = random.choices(kinds, k=round(ROWS_COMPARED * 1.15))  # some are cancelled
    compared = crowded(crowd, asks, lambda newest: disturb(crowd, random, digests, newest))
    residency = crowd.residency()
    assert differing(start_yard(slots=8, rows=1), compared) == []
    assert len(compared) >= ROWS_COMPARED
    assert residency.evictions > 50
    assert residency.disk_loads > 50
    tally("bleed rows", len(compared))
    tally("bleed rows of sums", sum(ask.composition is not None for ask, _ in compared))
    tally("bleed adapters", len(digests))


@pytest.mark.timeout(240)  # 10 s of one core
def test_no_bleed_among_rows_that_are_sampled_and_rows_that_push_each_other_out__c5_c6_c12(
    start_yard: Callable[..., Any],
    tiny_adapters: dict[str, Path],
    tally: Callable[[str, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Rows enter without a reserve: some must give way.
    monkeypatch.setattr("lorayard_workers.engine.cache_room.CacheRoom._may_grow", _never)
    asks = growing_asks(Random(21), list(tiny_adapters))
    crowd = start_yard(
        slots=3,
        rows=8,
        kv_bytes=(BLOCKS + 1) * BLOCK_BYTES,  # one stays blank
        prefill_tokens=BLOCK_TOKENS,
        ageing_seconds=0.02,
    ).engine
    compared = crowded(crowd, asks, lambda newest: None)
    residency = crowd.residency()
    assert differing(start_yard(slots=8, rows=1, prefix_reuse=False), compared) == []
    assert len(compared) == len(asks)
    texts = {outcome.text for _, outcome in compared if isinstance(outcome, Succeeded)}
    assert len(texts) > len(set(asks)) // 2  # seeds and adapters matter
    assert residency.preemptions > 5
    tally("bleed rows", len(compared))
    tally("bleed rows sampled", sum(ask.sampling.seed is not None for ask, _ in compared))
    tally("preemptions meanwhile", residency.preemptions)


def _never(*_: object) -> bool:
    return False
