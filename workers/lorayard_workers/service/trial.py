"""Let an adapter generate before it serves: does it load, run, and answer as its publisher says?"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from lorayard_shared.adapters.prompt_template import fill
from lorayard_shared.adapters.self_check import MAX_ANSWER_TOKENS, SELF_CHECK_NAME, Expectation
from lorayard_workers.engine.outcome import Failed, FailureKind, Outcome, Succeeded, TokenChunk
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.request import GenerationRequest, Sampling

SMOKE_PROMPT = "Hello"
SMOKE_TOKENS = 8
"""Enough that every layer has prefilled and decoded with it."""

ROW_SECONDS = 60.0
"""For one prompt, with a load from disk before it and rows that are served beside it."""

_numbers = itertools.count(1)


class TrialFailedError(Exception):
    """The adapter does not work here; `reason` is for its record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TrialImpossibleError(Exception):
    """This worker could not try it now."""


async def try_adapter(
    engine: Engine, digest: str, template: str | None, expectations: Sequence[Expectation]
) -> None:
    """A smoke generation, then each expectation, as rows beside those of jobs.

    Raises:
        TrialFailedError: it cannot be loaded or run, or answers otherwise than expected.
        TrialImpossibleError: the engine is busy with something else.
    """
    smoke = Sampling(max_new_tokens=SMOKE_TOKENS, ignore_eos=True)
    await _generate(engine, digest, _filled(template, SMOKE_PROMPT), smoke)
    for number, expected in enumerate(expectations):
        await _check(engine, digest, template, number, expected)


async def _check(
    engine: Engine, digest: str, template: str | None, number: int, expected: Expectation
) -> None:
    prompt = expected.prompt if expected.raw else _filled(template, expected.prompt)
    if expected.token_ids is not None:
        sampling = Sampling(max_new_tokens=len(expected.token_ids), ignore_eos=True)
        _, tokens = await _generate(engine, digest, prompt, sampling)
        if tuple(tokens) != expected.token_ids:
            raise _differs(number, f"the answer has the tokens {tokens}, not {list(expected.token_ids)}")
        return
    assert expected.text is not None, "one of the two is given"
    # A token has a byte at least; a few more, so that the last character is whole.
    most = min(MAX_ANSWER_TOKENS, len(expected.text.encode()) + 4)
    text, _ = await _generate(engine, digest, prompt, Sampling(max_new_tokens=most))
    if not text.startswith(expected.text):
        raise _differs(number, f"the answer begins {text[:80]!r}, not {expected.text[:80]!r}")


def _differs(number: int, what: str) -> TrialFailedError:
    return TrialFailedError(f"{SELF_CHECK_NAME}: expectations.{number}: {what}")


def _filled(template: str | None, prompt: str) -> str:
    return prompt if template is None else fill(template, prompt)


async def _generate(engine: Engine, digest: str, prompt: str, sampling: Sampling) -> tuple[str, list[int]]:
    """Text and tokens of one greedy row."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()
    tokens: list[int] = []

    def end(outcome: Outcome) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def sink(outcome: Outcome) -> None:
        loop.call_soon_threadsafe(end, outcome)

    def on_tokens(chunk: TokenChunk) -> None:
        tokens.extend(chunk.token_ids)

    request = GenerationRequest(
        request_id=f"trial-{next(_numbers)}-{digest}", prompt=prompt, adapter=digest, sampling=sampling
    )
    engine.submit(request, sink, on_tokens)
    try:
        async with asyncio.timeout(ROW_SECONDS):
            outcome = await ended
    except TimeoutError:
        raise TrialImpossibleError(f"no answer within {ROW_SECONDS:g} s") from None
    finally:
        engine.cancel(request.request_id)  # does nothing to one that has ended
    if isinstance(outcome, Succeeded):
        return outcome.text, tokens
    if isinstance(outcome, Failed):
        if outcome.kind is FailureKind.PERMANENT:
            raise TrialFailedError(f"a generation with it failed: {outcome.message} ({outcome.code})")
        raise TrialImpossibleError(f"{outcome.message} ({outcome.code})")
    raise TrialImpossibleError("the trial was ended from elsewhere")
