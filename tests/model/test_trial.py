"""A trial tells an adapter that answers as its publisher says from one that does not (D3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.model.conftest import text_of

from lorayard_shared.adapters.self_check import Expectation
from lorayard_workers.engine.outcome import Outcome, TokenChunk
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.service.trial import TrialFailedError, TrialImpossibleError, try_adapter
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]
PROMPT = "Hello there"


def answer(yard: Any, digest: str | None) -> tuple[str, tuple[int, ...]]:
    """Text and tokens of a greedy row."""
    tokens: list[int] = []
    ended = asyncio.run(_one(yard, digest, tokens))
    return ended, tuple(tokens)


async def _one(yard: Any, digest: str | None, tokens: list[int]) -> str:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()

    def end(outcome: Outcome) -> None:
        loop.call_soon_threadsafe(ended.set_result, outcome)

    def hear(chunk: TokenChunk) -> None:
        tokens.extend(chunk.token_ids)

    request = GenerationRequest(
        request_id=f"recorded-{digest}", prompt=PROMPT, adapter=digest, sampling=Sampling(max_new_tokens=6)
    )
    yard.engine.submit(request, end, hear)
    return text_of(await ended)


def test_an_adapter_that_answers_as_recorded_passes(start_yard: StartYard, tmp_path: Path) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=70))
    text, tokens = answer(yard, digest)
    expectations = [Expectation(prompt=PROMPT, text=text[:4]), Expectation(prompt=PROMPT, token_ids=tokens)]
    asyncio.run(try_adapter(yard.engine, digest, None, expectations))


def test_one_that_answers_as_the_base_model_does_is_found_out(start_yard: StartYard, tmp_path: Path) -> None:
    """Recorded with the adapter, tried with another: as when a training run was saved to the wrong folder."""
    yard = start_yard()
    recorded, other = (yard.add(make_tiny_adapter(tmp_path / str(i), seed=70 + i)) for i in range(2))
    text, tokens = answer(yard, recorded)
    for expected in (Expectation(prompt=PROMPT, text=text), Expectation(prompt=PROMPT, token_ids=tokens)):
        with pytest.raises(TrialFailedError, match=r"self_check\.json: expectations\.0: the answer "):
            asyncio.run(try_adapter(yard.engine, other, None, [expected]))


def test_a_template_stands_around_the_prompt_unless_it_is_raw(start_yard: StartYard, tmp_path: Path) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=70))
    _, tokens = answer(yard, digest)
    asyncio.run(
        try_adapter(yard.engine, digest, "{prompt} there", [Expectation(prompt="Hello", token_ids=tokens)])
    )
    raw = Expectation(prompt=PROMPT, token_ids=tokens, raw=True)
    asyncio.run(try_adapter(yard.engine, digest, "{prompt} there", [raw]))


def test_an_adapter_that_cannot_be_loaded_fails_with_the_loaders_reason(
    start_yard: StartYard, tmp_path: Path
) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=70))
    make_tiny_adapter(tmp_path / "a", seed=71)  # other bytes than its digest says
    with pytest.raises((TrialFailedError, TrialImpossibleError), match="its content is sha256:"):
        asyncio.run(try_adapter(yard.engine, digest, None, []))
