"""New versions under running rows: does any token come from stale weights or a stale cache?

Names point to digests, as in a registry; a name moves while its rows run, and sometimes back. Prompts begin
alike, so the cache has prefixes to reuse, and must not reuse those of another version.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from random import Random

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_sides.modes import without_prefix_reuse
from lorayard_cli.bench.figures import spread
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

_NAMES = ("summary", "keywords", "style")
_VERSIONS = 4
_SWITCH_EVERY = 12
"""Requests between two moves of a name: fewer than are in flight, so rows of both versions run together."""
_IN_FLIGHT = 24
_OUTCOME_SECONDS = 60.0
"""Only a hang waits this long."""
_NEW_TOKENS = (4, 12, 24)
_ALONE = EngineConfig(
    slots=4,
    max_rank=8,
    rows=1,
    context_tokens=256,
    precision=Precision.FP32,
    device="cpu",
    json_schemas=False,
)
_TOGETHER = replace(_ALONE, rows=8, host_bytes=1 << 20, ageing_seconds=0.05)
"""Host memory for a few versions only: others come from disk again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    prompt: str
    digest: str
    tokens: int

    def request(self, name: str) -> GenerationRequest:
        """Greedy: nothing but the model decides."""
        sampling = Sampling(max_new_tokens=self.tokens)
        return GenerationRequest(request_id=name, prompt=self.prompt, adapter=self.digest, sampling=sampling)


def measure_reload(requests: int, *, seed: int = 5) -> Figure:
    """So many requests by name, each compared with the same one alone on the version it was sent to."""
    random = Random(seed)
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        model = make_tiny_model(Path(scratch) / "model")
        versions = {name: _make_versions(Path(scratch) / name, seed) for seed, name in enumerate(_NAMES)}
        folders = {digest: folder for found in versions.values() for digest, folder in found.items()}
        asks, moves = _asks(random, versions, requests)
        found = _run_together(model, folders, asks)
        wanted = _run_alone(model, folders, asks)
    tokens = sum(ask.tokens for ask in asks)
    stale = sum(_differing(outcome, wanted[ask]) for ask, outcome in zip(asks, found, strict=True))
    return Figure(
        value=spread([stale]),
        note=f"{tokens:,} tokens of {requests:,} requests, {moves} moves of {len(_NAMES)} names among "
        f"{len(folders)} versions while rows ran",
        facts={"requests": requests, "tokens": tokens, "moves": moves, "differ": stale},
    )


def _make_versions(root: Path, name_seed: int) -> Mapping[str, Path]:
    folders = [
        make_tiny_adapter(root / str(version), seed=100 * name_seed + version) for version in range(_VERSIONS)
    ]
    return {adapter_digest(read_adapter(folder)): folder for folder in folders}


def _asks(random: Random, versions: Mapping[str, Mapping[str, Path]], count: int) -> tuple[list[_Ask], int]:
    """Requests in their order, each with the digest that its name points to when it is sent."""
    current = {name: next(iter(found)) for name, found in versions.items()}
    beginnings = ["Once upon a time there was a fox who " * 3, "The committee met on Tuesday to discuss " * 3]
    asks: list[_Ask] = []
    for number in range(count):
        if number % _SWITCH_EVERY == _SWITCH_EVERY - 1:
            name = random.choice(_NAMES)
            current[name] = random.choice([d for d in versions[name] if d != current[name]])
        prompt = random.choice(beginnings) + random.choice(("ran", "slept", "spoke"))
        asks.append(
            _Ask(prompt=prompt, digest=current[random.choice(_NAMES)], tokens=random.choice(_NEW_TOKENS))
        )
    return asks, count // _SWITCH_EVERY


def _run_together(model: Path, folders: Mapping[str, Path], asks: Sequence[_Ask]) -> list[Outcome]:
    engine = PackedEngine(model, folders, _TOGETHER)
    ended: SimpleQueue[Outcome] = SimpleQueue()
    found: dict[str, Outcome] = {}
    engine.start()
    try:
        for number, ask in enumerate(asks):
            if number - len(found) >= _IN_FLIGHT:
                outcome = ended.get(timeout=_OUTCOME_SECONDS)
                found[outcome.request_id] = outcome
            engine.submit(ask.request(str(number)), ended.put)
        while len(found) < len(asks):
            outcome = ended.get(timeout=_OUTCOME_SECONDS)
            found[outcome.request_id] = outcome
    finally:
        engine.stop()
    engine.check()
    return [found[str(number)] for number in range(len(asks))]


def _run_alone(model: Path, folders: Mapping[str, Path], asks: Sequence[_Ask]) -> dict[_Ask, Outcome]:
    """Each different request by itself, on an engine that serves nothing else meanwhile."""
    engine = PackedEngine(model, folders, without_prefix_reuse(_ALONE))
    ended: SimpleQueue[Outcome] = SimpleQueue()
    wanted: dict[_Ask, Outcome] = {}
    engine.start()
    try:
        for ask in dict.fromkeys(asks):
            engine.submit(ask.request("alone"), ended.put)
            wanted[ask] = ended.get(timeout=_OUTCOME_SECONDS)
    finally:
        engine.stop()
    return wanted


def _differing(found: Outcome, wanted: Outcome) -> int:
    """Tokens of an answer that is not the one wanted: from its first stale token on, all of them may be."""
    if (
        isinstance(found, Succeeded)
        and isinstance(wanted, Succeeded)
        and (found.text, found.completion_tokens) == (wanted.text, wanted.completion_tokens)
    ):
        return 0
    return max(1, found.completion_tokens if isinstance(found, Succeeded) else 1)
