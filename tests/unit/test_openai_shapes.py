"""OpenAI's bodies in the yard's terms and back: what is asked is done, or refused by its field (E6, E7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lorayard import (
    InvalidRequestError,
    JobCancelledError,
    JobFailedError,
    LimitReachedError,
    YardFullError,
)
from lorayard.job_message import build_job
from lorayard.openai_shapes import (
    Asked,
    BodyError,
    Endpoint,
    completion_body,
    error_of,
    read_body,
    read_unjudged,
)
from lorayard.result import Result, from_wire
from lorayard_schemas.result import (
    ErrorKind,
    JobResult,
    Maker,
    ResultError,
    ResultState,
    TokenAlternative,
    TokenLogprob,
    Usage,
)

MODEL = "acme/gemma3-270m/summary"
HELLO = [{"role": "user", "content": "hello"}]


def chat(**fields: Any) -> Asked:
    return read_body(Endpoint.CHAT, {"model": MODEL, "messages": HELLO, **fields})


def text(**fields: Any) -> Asked:
    return read_body(Endpoint.COMPLETIONS, {"model": MODEL, "prompt": "hello", **fields})


def refused(endpoint: Endpoint = Endpoint.CHAT, **fields: Any) -> tuple[str, str]:
    prompt = {"messages": HELLO} if endpoint is Endpoint.CHAT else {"prompt": "hello"}
    body = {"model": MODEL, **prompt, **fields}
    with pytest.raises(BodyError) as caught:
        read_body(endpoint, {name: value for name, value in body.items() if value != "absent"})
    return caught.value.field, caught.value.code


def answer(number: int = 1, **wire: Any) -> Result:
    maker = Maker(worker="w1", adapter=MODEL, version="3", digest="sha256:" + "a" * 64, tier="slot")
    usage = Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=3)
    given: dict[str, Any] = {"state": ResultState.SUCCEEDED, "finish_reason": "stop", "usage": usage, **wire}
    return from_wire(JobResult(job=f"j{number}", tenant="t", maker=maker, **given), "hi")


def failed(kind: ErrorKind, code: str) -> JobFailedError:
    error = ResultError(kind=kind, code=code, message="m", field="adapter")
    return JobFailedError(result=answer(state=ResultState.FAILED, error=error))


def test_every_field_that_the_yard_has_is_asked_of_it() -> None:
    asked = chat(
        temperature=0.5, top_p=0.9, max_completion_tokens=7, stop="x", seed=-1, logprobs=True, top_logprobs=2,
        presence_penalty=1, frequency_penalty=-1, logit_bias={"5": 1}, user="u", metadata={"a": "b"},
        service_tier="flex", stream=True, stream_options={"include_usage": True}, top_k=4, min_tokens=2,
    )  # fmt: skip
    (request,) = asked.requests
    assert (request.adapter, request.lane, request.max_new_tokens) == (MODEL, "bulk", 7)
    assert (request.temperature, request.top_p, request.top_k, request.min_new_tokens) == (0.5, 0.9, 4, 2)
    assert (request.stop, request.seed, request.logprobs) == (("x",), 2**63 - 1, 2)
    assert request.metadata == {"a": "b", "user": "u"}
    assert (request.presence_penalty, request.frequency_penalty, request.logit_bias) == (1, -1, {"5": 1})
    assert (asked.stream, asked.include_usage, request.stream) == (True, True, True)


def test_what_is_not_said_is_as_openai_has_it() -> None:
    (request,) = chat().requests
    assert (request.temperature, request.max_new_tokens, request.logprobs) == (1.0, 256, None)
    assert text().requests[0].max_new_tokens == 16
    assert chat(tools=None, n=None, response_format=None, stop=None) == chat()


@pytest.mark.parametrize(
    ("model", "adapter", "weights"),
    [
        ("base", "base", None),
        ("auto", None, None),
        (f"{MODEL}@3", f"{MODEL}@3", None),
        (f"{MODEL}@prod", f"{MODEL}@prod", None),
        ("a/b/c=0.7,a/b/d=0.3", None, {"a/b/c": 0.7, "a/b/d": 0.3}),
    ],
)
def test_model_names_who_shall_answer(model: str, adapter: str | None, weights: dict[str, float]) -> None:
    (request,) = chat(model=model).requests
    assert request.adapter == adapter
    assert (None if request.composition is None else request.composition.adapters) == weights


def test_messages_are_turns_of_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns: Any = chat(messages=[{"role": "developer", "content": parts}, *HELLO]).requests[0].prompt
    assert turns == [{"role": "system", "content": "ab"}, *HELLO]
    said = {"role": "assistant", "content": "x", "refusal": None, "tool_calls": None, "audio": None}
    assert len(chat(messages=[*HELLO, said]).requests) == 1


def test_a_schema_binds_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    assert chat(response_format=wanted).requests[0].json_schema == schema
    assert chat(response_format={"type": "json_object"}).requests[0].json_schema == '{"type":"object"}'
    assert chat(response_format={"type": "text"}).requests[0].json_schema is None


def test_each_choice_is_a_request_with_a_seed_and_a_key_of_its_own() -> None:
    asked = text(prompt=["a", "b"], n=2, seed=5).keyed("k")
    assert [(r.prompt, r.seed) for r in asked.requests] == [("a", 5), ("a", 6), ("b", 5), ("b", 6)]
    assert [r.idempotency_key for r in asked.requests] == ["k\n0", "k\n1", "k\n2", "k\n3"]
    assert text().keyed("k").requests[0].idempotency_key == "k"


REFUSED: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"temperature": 11}, ("temperature", "invalid_value")),
        ({"temperature": "hot"}, ("temperature", "invalid_value")),
        ({"temperature": True}, ("temperature", "invalid_value")),
        ({"max_tokens": 0}, ("max_tokens", "invalid_value")),
        ({"max_completion_tokens": 10**9}, ("max_completion_tokens", "invalid_value")),
        ({"max_tokens": 1, "max_completion_tokens": 2}, ("body", "invalid_value")),
        ({"n": 0}, ("n", "invalid_value")),
        ({"model": "absent"}, ("model", "missing_required_parameter")),
        ({"model": "gpt-4o"}, ("model", "invalid_value")),
        ({"model": "a/b/c=x,a/b/d"}, ("model", "invalid_value")),
        ({"model": "a/b/c=0,a/b/d"}, ("model", "invalid_value")),
        ({"messages": "absent"}, ("messages", "missing_required_parameter")),
        ({"messages": []}, ("messages", "invalid_value")),
        ({"messages": [{"role": "tool", "content": "x"}]}, ("messages.0.role", "invalid_value")),
        ({"messages": [{"role": "user", "content": "x", "name": "n"}]},
         ("messages.0.name", "unsupported_parameter")),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
         ("messages.0.content", "invalid_value")),
        ({"tools": [{"type": "function"}]}, ("tools", "unsupported_parameter")),
        ({"store": True}, ("store", "unsupported_parameter")),
        ({"reasoning_effort": "low"}, ("reasoning_effort", "unsupported_parameter")),
        ({"tempurature": 1}, ("tempurature", "unknown_parameter")),
        ({"lorayard": {"lane": "fast"}}, ("lorayard.lane", "invalid_value")),
        ({"lorayard": {"spead": 1}}, ("lorayard.spead", "unknown_parameter")),
        ({"response_format": {"type": "json_schema"}}, ("response_format", "invalid_value")),
        ({"stop": ["a"] * 17}, ("stop", "invalid_value")),
        ({"stop": [""]}, ("stop.0", "invalid_value")),
        ({"logit_bias": {"x": 1}}, ("logit_bias.x.[key]", "invalid_value")),
        ({"top_logprobs": 2}, ("body", "invalid_value")),
        ({"logprobs": True, "top_logprobs": 21}, ("top_logprobs", "invalid_value")),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "told"), REFUSED)
def test_what_cannot_be_is_refused_by_its_field(fields: dict[str, Any], told: tuple[str, str]) -> None:
    place, code = refused(**fields)
    assert (place.split(" ")[0], code) == told


def test_what_a_plain_completion_cannot_have_is_refused() -> None:
    assert refused(Endpoint.COMPLETIONS, echo=True) == ("echo", "unsupported_parameter")
    assert refused(Endpoint.COMPLETIONS, suffix="x") == ("suffix", "unsupported_parameter")
    assert refused(Endpoint.COMPLETIONS, prompt=[1, 2])[0].startswith("prompt")
    assert refused(Endpoint.COMPLETIONS, prompt="")[0] == "prompt"
    assert refused(Endpoint.COMPLETIONS, best_of=3)[0] == "body"
    with pytest.raises(BodyError):
        read_body(Endpoint.CHAT, ["no object"])


MANY = 5000


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"messages": [1] * MANY}, "messages"),
        ({"messages": [{"role": "user", "content": [1] * MANY}]}, "messages.0.content"),
        ({"stop": [1] * MANY}, "stop"),
        ({"stop_token_ids": ["x"] * MANY}, "stop_token_ids"),
        ({"logit_bias": {str(number): "x" for number in range(MANY)}}, "logit_bias"),
        ({"metadata": {str(number): 1 for number in range(MANY)}}, "metadata"),
        ({"lorayard": {"composition": {str(number): "x" for number in range(MANY)}}}, "lorayard.composition"),
        ({str(number): 1 for number in range(MANY)}, "body"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_judged__g3(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(BodyError, match="more than 2048 entries") as caught:
        chat(**fields)
    assert caught.value.field == place


def test_the_first_bad_message_ends_the_reading__g3() -> None:
    bad = {"role": "user", "content": [1] * 1000}
    with pytest.raises(BodyError) as caught:
        chat(messages=[bad] * 100)
    cause = caught.value.__cause__
    assert isinstance(cause, ValidationError)
    assert cause.error_count() < 2 * 1000, "one message's, for each way to read it"


def test_a_body_may_be_read_without_its_values_being_judged() -> None:
    body = {"model": MODEL, "messages": HELLO, "temperature": 11}
    (request,) = read_unjudged(Endpoint.CHAT, body).requests
    assert request.temperature == 11
    with pytest.raises(BodyError):
        read_unjudged(Endpoint.CHAT, body | {"temperature": "hot"})


def test_options_of_the_yard_stand_under_its_name() -> None:
    own = {"lane": "urgent", "session": "s", "template": "none", "composition": {"a/b/c": 1, "a/b/d": -1}}
    (request,) = chat(model="auto", lorayard=own).requests
    assert (request.lane, request.session, request.template) == ("urgent", "s", "none")
    assert request.composition is not None
    assert request.composition.adapters == {"a/b/c": 1, "a/b/d": -1}


def test_an_answer_has_its_maker_usage_and_reason() -> None:
    body = completion_body(chat(n=2), [answer(1), answer(2, finish_reason="time")], created=7.9)
    assert (body["id"], body["object"], body["created"]) == ("chatcmpl-j1", "chat.completion", 7)
    assert body["model"] == f"{MODEL}@3"
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop", "length"]
    assert body["choices"][1]["message"] == {"role": "assistant", "content": "hi", "refusal": None}
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (5, 6, 11)
    assert body["lorayard"]["answers"][1]["job"] == "j2"
    json.dumps(body, allow_nan=False)
    plain = completion_body(text(), [answer()], created=1)
    assert (plain["object"], plain["choices"][0]["text"]) == ("text_completion", "hi")


def test_logprobs_have_the_form_of_their_call() -> None:
    other = TokenAlternative(token_id=2, text="ho", logprob=-2.0)
    half = TokenLogprob(token_id=3, text="\ufffd", logprob=-1.0)
    result = answer(logprobs=(TokenLogprob(token_id=1, text="hi", logprob=-0.1, alternatives=(other,)), half))
    told = completion_body(chat(), [result], created=1)["choices"][0]["logprobs"]["content"]
    assert told[0]["bytes"] == [104, 105]
    assert told[0]["top_logprobs"][0]["token"] == "ho"
    assert told[1]["bytes"] is None
    plain = completion_body(text(), [result], created=1)["choices"][0]["logprobs"]
    assert plain["text_offset"] == [0, 2]
    assert plain["top_logprobs"][0] == {"ho": -2.0}


def test_errors_say_whether_to_come_again() -> None:
    assert error_of(failed(ErrorKind.PERMANENT, "unknown_adapter")).status == 404
    assert error_of(failed(ErrorKind.PERMANENT, "bad_messages")).code == "bad_messages"
    assert error_of(failed(ErrorKind.RETRYABLE, "engine_error")).status == 503
    assert error_of(failed(ErrorKind.POISON, "delivered_too_often")).status == 500
    assert error_of(JobCancelledError(result=answer())).code == "cancelled"
    limit = error_of(LimitReachedError("no", retry_after_seconds=3))
    assert (limit.status, limit.retry_after_seconds) == (429, 3)
    assert error_of(YardFullError(reason="r", retry_after_seconds=2)).retry_after_seconds == 2
    told = error_of(InvalidRequestError(field="stop", reason="r")).body()["error"]
    assert told["message"] == "stop: r"
    assert (told["type"], told["param"], told["code"]) == ("invalid_request_error", "stop", "invalid_value")


WORDS = st.text("ab@/=,.0\ud800é", max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["messages", "prompt", "n", "stop", "seed", "logprobs", "temperature", "response_format", "lorayard",
     "logit_bias", "metadata", "max_tokens", "stream_options", "tools", "model"]
)  # fmt: skip


@given(st.sampled_from(Endpoint), st.dictionaries(NAMES, JSON, max_size=3))
def test_any_json_is_asked_or_refused(endpoint: Endpoint, fields: dict[str, Any]) -> None:
    prompt = {"messages": HELLO} if endpoint is Endpoint.CHAT else {"prompt": "hello"}
    try:
        asked = read_body(endpoint, {"model": MODEL, **prompt, **fields})
    except BodyError as error:
        told = (error.field, error.code)
    else:
        for request in asked.requests:
            build_job(request, job_id="j", now=0.0)
        told = (asked.model, "asked")
    assert all(told)
