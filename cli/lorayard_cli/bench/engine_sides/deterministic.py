"""Deterministic mode: are a row's numbers the same to the bit, whatever shares its batch?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_sides.serving import OUTCOME_SECONDS, ServingSide, request_of
from lorayard_cli.bench.engine_sides.traffic import Ask
from lorayard_cli.bench.figures import spread
from lorayard_workers.engine.outcome import Outcome, Succeeded
from lorayard_workers.engine.request import GenerationRequest

_ALTERNATIVES = 5
"""Of each token: their log-probabilities come from the logits, and show any bit of them."""


def measure_strangers(side: ServingSide, asks: Sequence[Ask], *, compared: int) -> Figure:
    """The first requests alone, then among all."""
    alone = [_answers(side, [(number, asks[number])])[0] for number in range(compared)]
    together = _answers(side, list(enumerate(asks)))
    differ = [number for number, answer in enumerate(alone) if answer != together[number]]
    tokens = sum(ask.new_tokens for ask in asks[:compared])
    return Figure(
        value=spread([len(differ)]),
        note=f"log-probabilities of {tokens} tokens of {compared} rows, alone and among {len(asks)}",
        facts={"rows": compared, "tokens": tokens, "differ": differ},
    )


def _answers(side: ServingSide, asks: Sequence[tuple[int, Ask]]) -> list[object]:
    """Tokens and log-probabilities of each, in the order of `asks`; a failure equals nothing."""
    ended: SimpleQueue[Outcome] = SimpleQueue()
    for number, ask in asks:
        side.engine.submit(_request(side, number, ask), ended.put)
    found = {outcome.request_id: outcome for outcome in (ended.get(timeout=OUTCOME_SECONDS) for _ in asks)}
    return [_bits(found[str(number)]) for number, _ in asks]


def _request(side: ServingSide, number: int, ask: Ask) -> GenerationRequest:
    request = request_of(ask, str(number), side.digests[ask.adapter])
    return replace(request, sampling=replace(request.sampling, logprobs=_ALTERNATIVES))


def _bits(outcome: Outcome) -> object:
    return outcome.logprobs if isinstance(outcome, Succeeded) and outcome.logprobs else object()
