"""A job's sampling settings on their way to the engine, and log-probabilities on theirs back (C12)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import cast

import msgpack
import pytest

from lorayard_schemas.assignment import AdapterRef, AssignedJob
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import INLINE_BYTES, Lane
from lorayard_schemas.job import Sampling as JobSampling
from lorayard_schemas.result import JobResult
from lorayard_schemas.subjects import JobAddress
from lorayard_workers.engine.outcome import (
    Cancelled,
    FinishReason,
    Succeeded,
    Tier,
    Timings,
    TokenAlternative,
    TokenLogprob,
)
from lorayard_workers.engine.request import Sampling
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.job_sampling import engine_sampling
from lorayard_workers.service.outcomes import LOGPROBS_BYTES, job_result, packed_result

GIVEN = JobSampling(
    max_new_tokens=9,
    temperature=0.5,
    top_p=0.9,
    top_k=4,
    min_p=0.1,
    seed=7,
    repetition_penalty=1.1,
    presence_penalty=0.2,
    frequency_penalty=-0.3,
    logit_bias={"5": 1.5, "17": -2.0},
    stop=("x",),
    stop_token_ids=(3,),
    ignore_eos=True,
    min_new_tokens=2,
    logprobs=4,
    json_schema="{}",
)

MESSAGE_BYTES = 1 << 20


def test_every_setting_of_a_job_is_one_of_the_engine__c12() -> None:
    assert set(JobSampling.model_fields) == {field.name for field in fields(Sampling)}


def test_the_engine_gets_every_setting__c12() -> None:
    found = engine_sampling(GIVEN)
    assert found.logit_bias == ((5, 1.5), (17, -2.0))
    for name in set(JobSampling.model_fields) - {"logit_bias"}:
        value = getattr(GIVEN, name)
        assert value != JobSampling.model_fields[name].default  # or the test would see nothing
        assert getattr(found, name) == value


def test_a_job_that_says_nothing_gets_the_engines_defaults() -> None:
    assert engine_sampling(JobSampling()) == Sampling()
    said = JobSampling(**{name: getattr(JobSampling(), name) for name in JobSampling.model_fields})
    assert engine_sampling(said) == Sampling(), "their own defaults are the same"
    assert engine_sampling(JobSampling(top_k=3)) == Sampling(top_k=3)


def succeeded(tokens: int, *, alternatives: int, text: str) -> Succeeded:
    others = tuple(TokenAlternative(token_id=i, text=text, logprob=-1.5) for i in range(alternatives))
    told = TokenLogprob(token_id=1, text=text, logprob=-0.5, alternatives=others)
    return Succeeded(
        request_id="k",
        text="x" * INLINE_BYTES,
        finish_reason=FinishReason.STOP,
        prompt_tokens=3,
        cached_tokens=2,
        completion_tokens=tokens,
        tier=Tier.NONE,
        timings=Timings(),
        logprobs=(told,) * tokens,
    )


def held() -> HeldJob:
    assigned = AssignedJob(key="k", lease="l", subject="s", body=b"{}")
    return HeldJob(assigned=assigned, address=JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None), job="j")


def test_logprobs_come_whole_where_they_fit__c12() -> None:
    outcome = succeeded(300, alternatives=5, text="token")
    result = job_result(held(), outcome, worker="w", base_digest="sha256:" + "ab" * 32)
    assert result.logprobs is not None
    assert len(result.logprobs) == 300
    assert [other.token_id for other in result.logprobs[0].alternatives] == [0, 1, 2, 3, 4]
    assert (result.usage.prompt_tokens, result.usage.cached_tokens) == (3, 2)


def test_logprobs_never_make_a_result_too_big_for_a_message__g3() -> None:
    """Beside the longest text that travels inside it, with the longest tokens."""
    for tokens, alternatives, text in ((65_536, 0, "a"), (3120, 20, "\u00e9" * 40), (3120, 20, "")):
        outcome = succeeded(tokens, alternatives=alternatives, text=text)
        result = job_result(held(), outcome, worker="w", base_digest="sha256:" + "ab" * 32)
        assert result.logprobs is not None
        assert 0 < len(result.logprobs) < tokens
        size = len(encode(result))
        assert size < MESSAGE_BYTES
        assert size > INLINE_BYTES + LOGPROBS_BYTES // 2  # as many as fit


def test_no_logprobs_where_none_were_asked_for() -> None:
    outcome = succeeded(0, alternatives=0, text="")
    result = job_result(held(), outcome, worker="w", base_digest="sha256:" + "ab" * 32)
    assert result.logprobs == ()


@pytest.mark.parametrize(
    "adapter", [None, AdapterRef(name="a/b/c", version="2", digest="sha256:" + "cd" * 32)]
)
def test_a_plain_answer_packs_to_what_its_model_would(adapter: AdapterRef | None) -> None:
    """Or readers would find two forms of one thing."""
    outcome = replace(succeeded(0, alternatives=0, text=""), logprobs=None, tier=Tier.HOST, text="x")
    one = held()
    one.assigned = one.assigned.model_copy(update={"adapter": adapter, "waited_ms": 1.5, "rule": "explicit"})
    model = job_result(one, outcome, worker="w", base_digest="sha256:" + "ab" * 32)
    body = packed_result(one, outcome, worker="w", base_digest="sha256:" + "ab" * 32)
    found = decode(JobResult, body)
    assert found.model_copy(update={"finished_at": model.finished_at}) == model
    fields_of = [set(cast("dict[str, object]", msgpack.unpackb(one))) for one in (body, encode(model))]
    assert fields_of[0] == fields_of[1]


def test_any_other_end_packs_as_its_model() -> None:
    for outcome in (Cancelled(request_id="k"), succeeded(2, alternatives=1, text="a")):
        body = packed_result(held(), outcome, worker="w", base_digest="sha256:" + "ab" * 32)
        model = job_result(held(), outcome, worker="w", base_digest="sha256:" + "ab" * 32)
        assert decode(JobResult, body).model_copy(update={"finished_at": model.finished_at}) == model
