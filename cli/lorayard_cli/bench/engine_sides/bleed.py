"""Does a row feel its neighbours? The same requests in random company and alone, token for token, in fp32.

In company slots and the cache are too small, so adapters and rows are pushed out all the time; alone each
request has an empty engine, which reuses nothing.
"""

from __future__ import annotations

import string
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from random import Random

import torch

from lorayard_cli.bench.engine_report.figure import Bleed
from lorayard_cli.bench.engine_sides.modes import without_prefix_reuse
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.blocks import BLOCK_TOKENS
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.kv_cache import KvCache
from lorayard_workers.engine.outcome import Cancelled, Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import Composition, GenerationRequest, Sampling, WeightedAdapter
from lorayard_workers.tiny_model import (
    HEADS,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    make_tiny_adapter,
    make_tiny_model,
)

_RANKS = (8, 4, 16, 3, 12, 8, 5, 16)
_SLOTS = 3
"""Fewer than adapters: slots change hands all the time."""
_IN_FLIGHT = 24
"""Three times the rows: some always wait for a place or a slot."""
_CANCELLED_SHARE = 0.05
_OUTCOME_SECONDS = 60.0
"""Only a hang waits this long."""
_EXAMPLES = 5
_KINDS = 80
"""Different requests: each comes often, beside ever new neighbours."""
_LONG = 130
"""Tokens that need two or three more blocks of the cache, where a row that starts is sure of one."""
_LONG_EVERY = 20
"""Kinds."""
_TOKENS = (1, 6, 16)
_LONG_AT_ONCE = 3
"""One after the other, so that they run together and push each other out."""
_SUM_SHARE, _SAMPLED_SHARE = 0.2, 0.25
_TEMPERATURE = 0.9
_BLOCKS = 6
"""Of the cache, for eight rows of one to four: some give theirs back and are computed again."""
_TOKEN_BYTES = KvCache.token_bytes(LAYERS, KV_HEADS, HIDDEN // HEADS, torch.float32)
_ALONE = without_prefix_reuse(
    EngineConfig(
        slots=len(_RANKS),
        max_rank=16,
        rows=1,
        context_tokens=256,
        precision=Precision.FP32,
        device="cpu",
        json_schemas=False,
    )
)
_TOGETHER = replace(
    _ALONE,
    slots=_SLOTS,
    rows=8,
    kv_bytes=(_BLOCKS + 1) * BLOCK_TOKENS * _TOKEN_BYTES,  # one stays blank
    host_bytes=1 << 20,  # about three adapters: others come from disk again
    prefill_tokens=48,  # prompts are longer, so they come in chunks beside rows that decode
    ageing_seconds=0.05,
    prefix_reuse=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """What a request asks; equal ones must get equal answers."""

    prompt: str
    adapter: str | None = None
    composition: Composition | None = None
    tokens: int
    seed: int | None = None
    """Of a sampled row; None: greedy."""

    def request(self, name: str) -> GenerationRequest:
        """Nothing but the model and the seed decides."""
        temperature = 0.0 if self.seed is None else _TEMPERATURE
        sampling = Sampling(
            max_new_tokens=self.tokens,
            temperature=temperature,
            seed=self.seed,
            ignore_eos=self.tokens == _LONG,  # else few of them get long
        )
        return GenerationRequest(
            request_id=name,
            prompt=self.prompt,
            adapter=self.adapter,
            composition=self.composition,
            sampling=sampling,
        )


def measure_bleed(rows: int, *, seed: int = 3) -> Bleed:
    """Compare so many rows."""
    random = Random(seed)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        model = make_tiny_model(Path(scratch) / "model")
        adapters = _adapters(Path(scratch))
        asks = _asks(random, list(adapters), rows)
        with _engine(model, adapters, _TOGETHER) as together:
            found = _run(together, asks, random)
            residency = together.residency()
        with _engine(model, adapters, _ALONE) as alone:
            wanted = {ask: _one(alone, ask) for ask in set(asks)}
    compared = [
        (ask, outcome) for ask, outcome in zip(asks, found, strict=True) if not isinstance(outcome, Cancelled)
    ]
    different = [pair for pair in compared if _answer(pair[1]) != wanted[pair[0]]]
    return Bleed(
        rows=len(compared),
        differ=len(different),
        cancelled=len(asks) - len(compared),
        adapters=len(adapters),
        slots=_SLOTS,
        evictions=residency.evictions,
        slot_loads=residency.slot_loads,
        disk_loads=residency.disk_loads,
        preemptions=residency.preemptions,
        sums=sum(ask.composition is not None for ask, _ in compared),
        sampled=sum(ask.seed is not None for ask, _ in compared),
        examples=tuple(f"{ask}: {outcome}" for ask, outcome in different[:_EXAMPLES]),
    )


def _adapters(scratch: Path) -> dict[str, Path]:
    folders = [
        make_tiny_adapter(scratch / str(seed), seed=seed, rank=rank) for seed, rank in enumerate(_RANKS)
    ]
    return {adapter_digest(read_adapter(folder)): folder for folder in folders}


def _asks(random: Random, adapters: list[str], count: int) -> list[_Ask]:
    texts = ["".join(random.choices(string.printable, k=random.randint(1, 120))) for _ in range(16)]
    kinds = [_kind(random, texts, adapters, long=n % _LONG_EVERY == 0) for n in range(_KINDS)]
    asks: list[_Ask] = []
    while len(asks) < count:
        kind = random.choice(kinds)
        asks += [kind] * (_LONG_AT_ONCE if kind.tokens == _LONG else 1)
    return asks[:count]


def _kind(random: Random, texts: list[str], adapters: list[str], *, long: bool) -> _Ask:
    sums = random.random() < _SUM_SHARE
    return _Ask(
        prompt=random.choice(texts),
        adapter=None if sums else random.choice([None, *adapters]),
        composition=_sum(random, adapters) if sums else None,
        tokens=_LONG if long else random.choice(_TOKENS),
        seed=random.randrange(1 << 30) if random.random() < _SAMPLED_SHARE else None,
    )


def _sum(random: Random, adapters: list[str]) -> Composition:
    """Of as many adapters as have slots, at most."""
    parts = random.sample(adapters, random.randint(1, _SLOTS))
    weights = (-0.5, 0.3, 0.8, 1.0)
    return Composition(
        parts=tuple(WeightedAdapter(digest=digest, weight=random.choice(weights)) for digest in parts)
    )


@contextmanager
def _engine(model: Path, adapters: dict[str, Path], config: EngineConfig) -> Generator[PackedEngine]:
    engine = PackedEngine(model, adapters, config)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
    engine.check()


def _run(engine: PackedEngine, asks: list[_Ask], random: Random) -> list[Outcome]:
    """All of them, a bounded number at a time, some cancelled on their way; in the order of `asks`."""
    ended: SimpleQueue[Outcome] = SimpleQueue()
    found: dict[str, Outcome] = {}
    for number, ask in enumerate(asks):
        if number - len(found) >= _IN_FLIGHT:
            outcome = ended.get(timeout=_OUTCOME_SECONDS)
            found[outcome.request_id] = outcome
        engine.submit(ask.request(str(number)), ended.put)
        if random.random() < _CANCELLED_SHARE:
            engine.cancel(str(random.randint(max(0, number - _IN_FLIGHT), number)))
    while len(found) < len(asks):
        outcome = ended.get(timeout=_OUTCOME_SECONDS)
        found[outcome.request_id] = outcome
    return [found[str(number)] for number in range(len(asks))]


def _one(engine: PackedEngine, ask: _Ask) -> object:
    ended: SimpleQueue[Outcome] = SimpleQueue()
    engine.submit(ask.request("alone"), ended.put)
    return _answer(ended.get(timeout=_OUTCOME_SECONDS))


def _answer(outcome: Outcome) -> object:
    """What must be equal; a failure equals nothing."""
    if not isinstance(outcome, Succeeded):
        return object()
    return outcome.text, outcome.completion_tokens, outcome.finish_reason
