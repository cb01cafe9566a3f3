"""A request is checked field by field before anything is published (E2, bad input)."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack
import pytest

from lorayard import ChatTurn, GenerateRequest, InvalidRequestError, Lane, RequestOptions
from lorayard.job_message import build_job, job_address, pack_job
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job, Sampling


def build(prompt: Any = "hello", **options: Any) -> Any:
    return build_job(GenerateRequest(prompt, **options), job_id="j1", now=100.0)


def test_a_retry_policy_with_a_typo_is_refused() -> None:
    assert build(retry={"max_attempts": 5}).retry.max_attempts == 5
    for wrong, field in (({"max_attemps": 5}, "retry.max_attemps"), ([("max_attempts", 5)], "retry")):
        with pytest.raises(InvalidRequestError) as caught:
            build(retry=wrong)
        assert caught.value.field == field


def test_a_plain_prompt_becomes_a_job() -> None:
    job = build("hello", max_new_tokens=5, stop="\n", metadata={"a": "b"}, deadline_seconds=2.5)
    assert (job.id, job.prompt, job.messages, job.created_at, job.deadline) == (
        "j1",
        "hello",
        None,
        100.0,
        102.5,
    )
    assert (job.sampling.max_new_tokens, job.sampling.stop, job.metadata) == (5, ("\n",), {"a": "b"})


def test_what_was_not_said_is_left_to_the_readers_and_means_the_same() -> None:
    job = build("hello")
    packed: Any = msgpack.unpackb(pack_job(job))
    assert set(packed) == {"id", "prompt", "created_at"}
    assert (job.sampling, job.template, job.metadata) == (Sampling(), "adapter", {})
    for options in ({}, {"temperature": 0.5, "stop": ["a"], "logit_bias": {3: 1.0}}, {"template": "none"}):
        said = build("hello", **options)
        assert decode(Job, pack_job(said)) == said
    defaults = {field.name: field.default for field in dataclasses.fields(GenerateRequest)}
    for name in set(Sampling.model_fields) - {"logit_bias"}:
        assert defaults[name] == Sampling.model_fields[name].default


def test_sampling_options_travel_in_the_job() -> None:
    job = build(
        min_p=0.1,
        repetition_penalty=1.2,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        logit_bias={7: 1.5, 30: -100},
        stop_token_ids=[3, 4],
        ignore_eos=True,
        min_new_tokens=2,
        logprobs=5,
        json_schema={"type": "object"},
    )
    sampling = job.sampling
    assert (sampling.min_p, sampling.repetition_penalty, sampling.ignore_eos) == (0.1, 1.2, True)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, -0.5)
    assert sampling.logit_bias == {"7": 1.5, "30": -100}
    assert (sampling.stop_token_ids, sampling.min_new_tokens, sampling.logprobs) == ((3, 4), 2, 5)
    assert sampling.json_schema == '{"type": "object"}'
    assert build(json_schema='{"a":1}').sampling.json_schema == '{"a":1}'


def test_a_conversation_becomes_a_job() -> None:
    job = build([{"role": "system", "content": "be brief"}, ChatTurn(role="user", content="hello")])
    assert job.prompt is None
    assert [turn.role for turn in job.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("prompt", "options", "field"),
    [
        ("", {}, "prompt"),
        (" \n\t", {}, "prompt"),
        (None, {}, "prompt"),
        (b"hello", {}, "prompt"),
        (7, {}, "prompt"),
        ([], {}, "messages"),
        ([{"role": "user", "content": "  "}], {}, "messages"),
        (["hello"], {}, "messages"),
        ([{"role": "user"}], {}, "messages.0.content"),
        ([{"role": "user", "content": "a"}, {"role": "", "content": "b"}], {}, "messages.1.role"),
        ("hello", {"max_new_tokens": 0}, "max_new_tokens"),
        ("hello", {"max_new_tokens": "many"}, "max_new_tokens"),
        ("hello", {"temperature": -1}, "temperature"),
        ("hello", {"temperature": float("nan")}, "temperature"),
        ("hello", {"top_p": 0}, "top_p"),
        ("hello", {"top_k": -1}, "top_k"),
        ("hello", {"seed": -1}, "seed"),
        ("hello", {"min_p": 2}, "min_p"),
        ("hello", {"min_p": float("nan")}, "min_p"),
        ("hello", {"repetition_penalty": 0}, "repetition_penalty"),
        ("hello", {"presence_penalty": 3}, "presence_penalty"),
        ("hello", {"frequency_penalty": "much"}, "frequency_penalty"),
        ("hello", {"logit_bias": [1]}, "logit_bias"),
        ("hello", {"logit_bias": {-1: 0.5}}, "logit_bias.-1.[key]"),
        ("hello", {"stop_token_ids": 3}, "stop_token_ids"),
        ("hello", {"min_new_tokens": -1}, "min_new_tokens"),
        ("hello", {"logprobs": 21}, "logprobs"),
        ("hello", {"json_schema": {"a": object()}}, "json_schema"),
        ("hello", {"json_schema": {"a": float("nan")}}, "json_schema"),
        ("hello", {"json_schema": "x" * 70_000}, "json_schema"),
        ("hello", {"stop": [""]}, "stop.0"),
        ("hello", {"stop": 3}, "stop"),
        ("hello", {"deadline_seconds": 0}, "deadline_seconds"),
        ("hello", {"deadline_seconds": float("inf")}, "deadline_seconds"),
        ("hello", {"deadline_seconds": "soon"}, "deadline_seconds"),
        ("hello", {"session": "x" * 300}, "session"),
        ("hello", {"metadata": {"a": 1}}, "metadata.a"),
        ("hello", {"metadata": 5}, "metadata"),
        ("hello", {"metadata": ["ab", 3]}, "metadata"),
    ],
)
def test_a_bad_field_is_named(prompt: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        build(prompt, **options)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("prompt", "options", "field"),
    [
        ("half \ud800", {}, "prompt"),
        ("hello", {"session": "half \ud800"}, "session"),
        ("hello", {"metadata": {"a": "half \ud800"}}, "metadata"),
        ([{"role": "user", "content": "half \ud800"}], {}, "messages"),
    ],
)
def test_half_a_character_is_refused_by_field(prompt: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        pack_job(build(prompt, **options))
    assert caught.value.field == field


def test_a_bad_request_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="prompt: the prompt is empty"):
        build("")


@pytest.mark.parametrize(
    "adapter", ["keywords", "acme/keywords", "Acme/gemma/keywords", "acme/gemma/keywords@", "a/b/c/d", "", 7]
)
def test_a_name_that_is_no_adapter_is_refused_with_the_form_that_is_one(adapter: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        job_address(lane="normal", tenant="t", adapter=adapter)
    assert caught.value.field == "adapter"
    assert isinstance(adapter, int) or "is not a" in caught.value.reason


@pytest.mark.parametrize(
    "adapter", [None, "base", "acme/gemma3-270m/keywords", "acme/gemma3-270m/keywords@2"]
)
def test_adapters_are_taken_as_they_are(adapter: str | None) -> None:
    assert job_address(lane=Lane.BULK, tenant="t", adapter=adapter).adapter == adapter


def test_a_bad_lane_is_refused_with_the_lanes_there_are() -> None:
    bad: Any = "soon"
    with pytest.raises(InvalidRequestError, match="urgent, high, normal, bulk"):
        job_address(lane=bad, tenant="t", adapter=None)


def test_options_of_the_verbs_are_the_fields_of_a_request() -> None:
    fields = {field.name for field in dataclasses.fields(GenerateRequest)}
    assert set(RequestOptions.__annotations__) == fields - {"prompt"}
