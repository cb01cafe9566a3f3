"""The usual job is read, and written, without its model: to the same job, or not at all."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lorayard import GenerateRequest
from lorayard.errors import InvalidRequestError
from lorayard.job_message import build_job, pack_job, pack_plain
from lorayard.request import Prompt
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.plain_job import SAMPLING_BYTES, read_job, read_plain

ODD: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**40)
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.integers(0, 3), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=1)
)
TURNS: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "", "x" * 33]) | ODD,
            "content": st.text(max_size=3) | ODD,
            "later": ODD,
        },
    ),
    max_size=3,
)
SAMPLINGS = st.fixed_dictionaries(
    {},
    optional={
        "max_new_tokens": st.integers(-1, 40_000) | ODD,
        "temperature": st.floats(-1, 11) | ODD,
        "stop": st.lists(st.text(max_size=2), max_size=2) | ODD,
        "seed": ODD,
        "unknown": ODD,
    },
)
CHAT = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 2, True, 1.0]) | ODD,
        "id": st.sampled_from(["j", "a" * 64, "a" * 65, "a b", "ü", "j\n"]) | ODD,
        "prompt": st.text(max_size=4) | ODD,
        "messages": TURNS | ODD,
        "template": st.sampled_from(["adapter", "none", "other"]) | ODD,
        "stream": st.booleans() | ODD,
        "created_at": st.floats() | ODD,
        "deadline": st.floats() | ODD,
        "sampling": SAMPLINGS | ODD,
        "request_digest": st.sampled_from(["0" * 32, "0" * 31, "0" * 32 + "\n"]) | ODD,
        "session": st.text(max_size=2),
        "metadata": st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
        "later": ODD,
    },
)


def packed(**fields: Any) -> bytes:
    return msgpack.packb({"id": "j", "prompt": "p", **fields})


@given(BODIES)
def test_what_is_read_as_plain_is_what_the_model_reads(told: dict[str, Any]) -> None:
    body = msgpack.packb(told)
    plain = read_plain(body)
    if plain is not None:
        job = decode(Job, body)
        assert (plain, plain.model_fields_set) == (job, job.model_fields_set)
        assert pack_job(plain) == pack_job(job)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"request_digest": "0123456789abcdef" * 2},
        {"v": 1, "created_at": 1.5, "deadline": 2.5, "template": "none", "stream": True},
        {"sampling": {}},
        {"sampling": {"max_new_tokens": 8, "temperature": 0.5, "stop": ["."], "logit_bias": {"3": 1.0}}},
    ],
)
def test_usual_jobs_are_plain(fields: dict[str, Any]) -> None:
    assert read_plain(packed(**fields)) == decode(Job, packed(**fields))


def test_a_usual_conversation_is_plain() -> None:
    body = msgpack.packb({"id": "j", "messages": CHAT})
    assert read_plain(body) == decode(Job, body)


DEEP = b"\x83" + packed()[1:] + msgpack.packb("sampling") + b"\x91" * 600 + b"\x90"
"""Nested more deeply than older releases of msgpack write (511), and less than they read."""

UNUSUAL: tuple[bytes, ...] = (
    b"",
    b"\xc1",
    b'{"id": "j", "prompt": "p"}',
    msgpack.packb([1]),
    msgpack.packb({1: 2}),
    packed(session="s"),
    packed(sampling={"json_schema": "x" * SAMPLING_BYTES}),
    packed(sampling={"max_new_tokens": 0}),
    packed(sampling=7),
    packed(v=2),
    packed(created_at=-1.0),
    packed(deadline=float("inf")),
    packed(template=["adapter"]),
    packed(stream="yes"),
    packed(messages=[{"role": "user", "content": "p"}]),
    msgpack.packb({"id": "j"}),
    msgpack.packb({"id": "j", "messages": []}),
    msgpack.packb({"id": "j", "messages": [{"role": "", "content": "p"}]}),
    DEEP,
)


@pytest.mark.parametrize("body", UNUSUAL)
def test_what_is_not_surely_one_is_left_to_the_model(body: bytes) -> None:
    assert read_plain(body) is None


@pytest.mark.parametrize(
    ("fields", "field"), [({"sampling": {"top_p": 2}}, "sampling.top_p"), ({"id": "a b"}, "id")]
)
def test_what_is_wrong_is_named_by_the_model__g5(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        read_job(packed(**fields))
    assert caught.value.field == field


def test_what_is_nested_too_deeply_is_named_by_the_model__g3() -> None:
    with pytest.raises(MalformedMessageError) as caught:
        read_job(DEEP)
    assert caught.value.field == "sampling"


def test_jobs_share_nothing_that_can_be_changed() -> None:
    one, other = read_job(packed()), read_job(packed())
    assert one.metadata is not other.metadata


REQUESTS = st.fixed_dictionaries(
    {"prompt": st.text(max_size=3) | TURNS | ODD},
    optional={
        "max_new_tokens": st.integers(1, 9) | ODD,
        "temperature": st.sampled_from([0.0, 0, 0.5, False, "0.5"]) | ODD,
        "stop": st.just("x") | st.just(("a",)) | ODD,
        "seed": ODD,
        "deadline_seconds": ODD,
        "session": st.none() | st.text(max_size=2),
        "template": st.sampled_from(["adapter", "none"]),
        "stream": st.booleans() | ODD,
        "metadata": st.none() | st.just({"a": "b"}),
    },
)


@given(REQUESTS)
def test_a_plain_request_is_packed_as_its_job_is(options: dict[str, Any]) -> None:
    request = GenerateRequest(options.pop("prompt"), **options)
    plain = pack_plain(request, job_id="j", now=5.0)
    if plain is not None:
        job = build_job(request, job_id="j", now=5.0)
        assert decode(Job, plain) == job


@pytest.mark.parametrize(
    "options", [{}, {"max_new_tokens": 8, "temperature": 0.5}, {"stop": "x"}, {"deadline_seconds": 3}]
)
@pytest.mark.parametrize("prompt", ["hello", CHAT])
def test_usual_requests_are_plain(prompt: Prompt, options: dict[str, Any]) -> None:
    request = GenerateRequest(prompt, **options)
    plain = pack_plain(request, job_id="j", now=5.0)
    assert plain is not None
    assert msgpack.unpackb(plain) == msgpack.unpackb(pack_job(build_job(request, job_id="j", now=5.0)))


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "  ",
        "half \ud800",
        [],
        ["text"],
        [{"role": "user"}],
        [{"role": "user", "content": " "}],
        [{"role": ["user"], "content": "x"}],
        [{"role": "user", "content": "half \ud800"}],
    ],
)
def test_a_bad_prompt_is_not_plain(prompt: Any) -> None:
    request = GenerateRequest(prompt)
    assert pack_plain(request, job_id="j", now=5.0) is None
    with pytest.raises((InvalidRequestError, ValidationError)):
        pack_job(build_job(request, job_id="j", now=5.0))
