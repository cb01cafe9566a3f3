"""Sampling options through the whole engine (C12): each row has its own, and none feels another's."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lorayard_workers.base_model import Precision, load_base_model
from lorayard_workers.engine.outcome import Failed, FinishReason, Outcome, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling

StartYard = Callable[..., Any]

PROMPT = "Hello there"


def ask(request_id: str, *, adapter: str | None = None, **sampling: Any) -> GenerationRequest:
    given: dict[str, Any] = {"max_new_tokens": 12} | sampling
    settings = Sampling(**given)
    return GenerationRequest(request_id=request_id, prompt=PROMPT, adapter=adapter, sampling=settings)


def done(outcome: Outcome) -> Succeeded:
    assert isinstance(outcome, Succeeded), outcome
    return outcome


def ids_of(outcome: Outcome) -> list[int]:
    logprobs = done(outcome).logprobs
    assert logprobs is not None
    return [token.token_id for token in logprobs]


def test_penalised_greedy_rows_write_what_transformers_generates__c12(
    start_yard: StartYard, tiny_model: Path
) -> None:
    base = load_base_model(tiny_model, precision=Precision.FP32)
    ids = base.prompt_ids(PROMPT)
    settings: list[dict[str, Any]] = [{}, {"repetition_penalty": 1.5}, {"repetition_penalty": 0.7}]
    found = start_yard().run(
        *(ask(str(i), max_new_tokens=24, logprobs=0, **each) for i, each in enumerate(settings))
    )
    for i, each in enumerate(settings):
        told = base.model.generate(
            torch.tensor([ids]), max_new_tokens=24, do_sample=False, pad_token_id=0, **each
        )
        assert ids_of(found[str(i)]) == told[0, len(ids) :].tolist()


def test_rows_with_options_answer_the_same_alone_and_in_company__c6_c12(start_yard: StartYard) -> None:
    yard = start_yard()
    settings: list[dict[str, Any]] = [
        {},
        {"temperature": 1.0, "seed": 4, "min_p": 0.05, "repetition_penalty": 1.2},
        {"frequency_penalty": 0.8, "presence_penalty": -0.4},
        {"temperature": 2.0, "seed": 4, "top_p": 0.7, "top_k": 30, "logprobs": 2},
        {"logit_bias": ((70, 4.0), (71, -100.0)), "ignore_eos": True},
    ]
    keys = [None, *yard.adapters]
    requests = [ask(str(i), adapter=keys[i], **each) for i, each in enumerate(settings)]
    together = yard.run(*requests)
    for request in requests:
        alone = yard.run(request)[request.request_id]
        assert done(alone).text == done(together[request.request_id]).text


def test_a_stop_token_ends_the_row_and_is_no_text__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    free = yard.run(ask("a", logprobs=0))["a"]
    ids = ids_of(free)
    third = ids[2]
    cut = done(yard.run(ask("a", stop_token_ids=(500, third)))["a"])
    assert cut.finish_reason is FinishReason.STOP
    assert cut.completion_tokens == ids.index(third) + 1
    assert len(cut.text) < len(done(free).text)
    assert done(free).text.startswith(cut.text)


def test_an_end_of_sequence_token_ends_a_row_unless_it_is_ignored__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    end = 2  # the tiny model's </s>
    wanted = ((end, 100.0),)
    found = yard.run(
        ask("ends", logit_bias=wanted),
        ask("ignores", logit_bias=wanted, ignore_eos=True),
        ask("stops", logit_bias=wanted, ignore_eos=True, stop_token_ids=(end,)),
        ask("waits", logit_bias=wanted, min_new_tokens=5, logprobs=0),
    )
    reasons = {name: (done(o).finish_reason, done(o).completion_tokens) for name, o in found.items()}
    assert reasons == {
        "ends": (FinishReason.STOP, 1),
        "ignores": (FinishReason.LENGTH, 12),
        "stops": (FinishReason.STOP, 1),
        "waits": (FinishReason.STOP, 6),
    }
    assert ids_of(found["waits"]).index(end) == 5


def test_stop_strings_count_only_after_the_least_number_of_tokens__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    biased: dict[str, Any] = {"logit_bias": ((70, 100.0),)}
    letter = done(yard.run(ask("a", max_new_tokens=1, **biased))["a"]).text
    assert len(letter) == 1
    early = done(yard.run(ask("a", stop=(letter,), **biased))["a"])
    late = done(yard.run(ask("a", stop=(letter,), min_new_tokens=4, **biased))["a"])
    assert (early.text, early.completion_tokens) == ("", 1)
    assert (late.text, late.completion_tokens) == (letter * 4, 5)
    assert late.finish_reason is FinishReason.STOP


def test_logprobs_come_for_each_token_with_so_many_alternatives__c12(start_yard: StartYard) -> None:
    outcome = done(start_yard().run(ask("a", logprobs=20, temperature=1.5, seed=3))["a"])
    assert outcome.logprobs is not None
    assert len(outcome.logprobs) == outcome.completion_tokens
    for token in outcome.logprobs:
        told = [alternative.logprob for alternative in token.alternatives]
        assert len(told) == 20
        assert told == sorted(told, reverse=True)
        assert sum(map(math.exp, told)) <= 1 + 1e-5
        assert token.logprob <= told[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"min_p": 1.1},
        {"min_p": math.nan},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": math.inf},
        {"presence_penalty": 2.5},
        {"frequency_penalty": -3.0},
        {"logit_bias": ((512, 1.0),)},
        {"logit_bias": ((1, math.nan),)},
        {"logit_bias": tuple((1, 1.0) for _ in range(1025))},
        {"stop_token_ids": (-1,)},
        {"stop_token_ids": tuple(range(65))},
        {"min_new_tokens": 13},
        {"logprobs": 21},
        {"logprobs": 20, "max_new_tokens": 10_000},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_a_bad_option_is_refused_by_name__g3(start_yard: StartYard, changes: dict[str, Any]) -> None:
    found = start_yard().run(ask("bad", **changes), ask("good"))
    bad = found["bad"]
    assert isinstance(bad, Failed)
    assert (bad.code, bad.field) == ("bad_sampling", f"sampling.{next(iter(changes))}")
    assert done(found["good"]).text
