"""Messages as bytes: what goes out comes back, and nothing that comes in is worse than malformed (G3)."""

from __future__ import annotations

import json
import random
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas.assignment import AssignedJob, Assignment, CancelJob, WorkerLoad
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import ChatTurn, Job, JobStub, PayloadRef, Sampling
from lorayard_schemas.message import Message
from lorayard_schemas.placement import PlaceAdapter
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.routes import ORDER, RouteTable

MUTATIONS = 10_000

texts = st.text(st.characters(codec="utf-8"), max_size=50)
seconds = st.floats(min_value=0, max_value=1e12)
samplings = st.builds(
    Sampling,
    max_new_tokens=st.integers(1, 32_768),
    temperature=st.floats(0, 10),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 2**31 - 1),
    seed=st.none() | st.integers(0, 2**63 - 1),
    stop=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), max_size=16).map(tuple),
)
turns = st.builds(ChatTurn, role=st.sampled_from(["user", "assistant"]), content=texts)
references = st.builds(PayloadRef, key=st.just("k"), sha256=st.just("0" * 64), size_bytes=st.integers(0, 9))
prompts = st.one_of(texts, st.lists(turns, min_size=1, max_size=4).map(tuple), references)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    given = draw(prompts)
    return Job(
        id=draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
        sampling=draw(samplings),
        created_at=draw(seconds),
        deadline=draw(st.none() | seconds),
        session=draw(st.none() | texts.filter(bool)),
        task=draw(st.none() | texts),
        metadata=draw(st.dictionaries(texts, texts, max_size=4)),
        prompt=given if isinstance(given, str) else None,
        messages=given if isinstance(given, tuple) else None,
        prompt_ref=given if isinstance(given, PayloadRef) else None,
    )


@given(jobs())
def test_a_job_comes_back_from_msgpack_as_it_went(job: Job) -> None:
    assert decode(Job, encode(job)) == job


@given(jobs())
def test_a_json_body_is_read_like_msgpack(job: Job) -> None:
    """A publisher in any language may write JSON."""
    assert decode(Job, job.model_dump_json().encode()) == job


@given(st.binary(max_size=200))
def test_an_assignment_carries_a_body_byte_for_byte(body: bytes) -> None:
    job = AssignedJob(key="YARD_JOBS-1", lease="$JS.ACK.x", subject="yard.jobs.normal.t._", body=body)
    sent = Assignment(dispatcher="d", worker="w", epoch=1, number=1, load_subject="yard.load.d", jobs=(job,))
    assert decode(Assignment, encode(sent)).jobs[0].body == body


def test_what_is_none_is_left_out_of_the_bytes() -> None:
    assert b"deadline" not in encode(Job(id="a", prompt="b"))


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\r\n"])
def test_json_may_begin_with_white_space(space: str) -> None:
    assert decode(Job, f'{space}{{"id":"a","prompt":"b"}}'.encode()).id == "a"


def test_fields_of_a_newer_peer_are_ignored() -> None:
    assert decode(JobStub, msgpack.packb({"id": "a", "prompt": "b", "invented_in_2030": [1]})).id == "a"


BAD_FIELDS = [
    ("id", {"id": "a b"}),
    ("id", {"id": ""}),
    ("id", {"id": "a" * 65}),
    ("id", {"id": "a\n"}),
    ("id", {"id": "a.b"}),
    ("id", {"id": 7}),
    ("v", {"v": 2}),
    ("prompt", {"prompt": 7}),
    ("prompt", {"prompt": ["a"]}),
    ("deadline", {"deadline": "tomorrow"}),
    ("deadline", {"deadline": -1.0}),
    ("created_at", {"created_at": -1}),
    ("sampling", {"sampling": "greedy"}),
    ("sampling.max_new_tokens", {"sampling": {"max_new_tokens": 0}}),
    ("sampling.max_new_tokens", {"sampling": {"max_new_tokens": 1.5}}),
    ("sampling.max_new_tokens", {"sampling": {"max_new_tokens": 10**9}}),
    ("sampling.temperature", {"sampling": {"temperature": -0.1}}),
    ("sampling.top_p", {"sampling": {"top_p": 0}}),
    ("sampling.top_k", {"sampling": {"top_k": -1}}),
    ("sampling.top_k", {"sampling": {"top_k": 2**62}}),
    ("sampling.seed", {"sampling": {"seed": 2**63}}),
    ("sampling.min_p", {"sampling": {"min_p": 1.5}}),
    ("sampling.repetition_penalty", {"sampling": {"repetition_penalty": 0}}),
    ("sampling.presence_penalty", {"sampling": {"presence_penalty": 2.1}}),
    ("sampling.frequency_penalty", {"sampling": {"frequency_penalty": -2.1}}),
    ("sampling.logit_bias.x.[key]", {"sampling": {"logit_bias": {"x": 1}}}),
    ("sampling.logit_bias.1", {"sampling": {"logit_bias": {"1": 101}}}),
    ("sampling.logit_bias", {"sampling": {"logit_bias": {str(i): 1 for i in range(1025)}}}),
    ("sampling.stop_token_ids.0", {"sampling": {"stop_token_ids": [-1]}}),
    ("sampling.stop_token_ids", {"sampling": {"stop_token_ids": [1] * 65}}),
    ("sampling.min_new_tokens", {"sampling": {"min_new_tokens": -1}}),
    ("sampling.logprobs", {"sampling": {"logprobs": 21}}),
    ("sampling.json_schema", {"sampling": {"json_schema": "x" * 65537}}),
    ("sampling.stop.1", {"sampling": {"stop": ["a", ""]}}),
    ("sampling.stop", {"sampling": {"stop": ["a"] * 17}}),
    ("metadata.k", {"metadata": {"k": 1}}),
    ("metadata", {"metadata": {str(n): "" for n in range(65)}}),
    ("session", {"session": "s" * 257}),
    ("session", {"session": ""}),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["msgpack", "json"])
@pytest.mark.parametrize(("field", "fields"), BAD_FIELDS)
def test_a_bad_field_is_named(field: str, fields: dict[str, Any], as_json: bool) -> None:
    values = {"id": "a", "prompt": "b", **fields}
    body = json.dumps(values).encode() if as_json else msgpack.packb(values)
    with pytest.raises(MalformedMessageError) as caught:
        decode(Job, body)
    assert caught.value.field == field
    assert caught.value.kind == "Job"
    assert field in str(caught.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_numbers_that_are_none_are_refused(field: str, number: float) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(Job, msgpack.packb({"id": "a", "prompt": "b", "sampling": {field: number}}))
    assert caught.value.field == f"sampling.{field}"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("messages", {"messages": []}),
        ("messages.0.role", {"messages": [{"role": "", "content": "b"}]}),
        ("messages.1.content", {"messages": [{"role": "user", "content": "b"}, {"role": "user"}]}),
        ("prompt_ref.sha256", {"prompt_ref": {"key": "k", "sha256": "x", "size_bytes": 1}}),
        ("prompt_ref.key", {"prompt_ref": {"key": "a/../b", "sha256": "0" * 64, "size_bytes": 1}}),
    ],
)
def test_a_bad_prompt_is_named(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(Job, msgpack.packb({"id": "a", **values}))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "prompts_given",
    [{}, {"prompt": "a", "messages": [{"role": "user", "content": "b"}]}],
    ids=["none", "two"],
)
def test_a_job_has_exactly_one_prompt(prompts_given: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError, match="exactly one of prompt, messages and prompt_ref"):
        decode(Job, msgpack.packb({"id": "a", **prompts_given}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"hello",
        b"{",
        b'{"id": "a"',
        b" ",
        b'{"id":"a","prompt":"\xff"}',
        b'{"id":"a","prompt":"\\ud800"}',
        b'{"a":' * 5000,
        b"\x91" * 5000,
        msgpack.packb([1, 2]),
        msgpack.packb("text"),
        msgpack.packb({1: 2}),
        msgpack.packb({"id": "a", "prompt": "b"}) + b"\x00",
        b"\x81\xa2id\xc7\x0c\xff" + b"\xff" * 12,
    ],
)
def test_bytes_that_are_no_message_are_malformed_as_a_whole(body: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(Job, body)
    assert caught.value.field == ""
    assert caught.value.reason


@pytest.mark.parametrize("number", [2**64, -(10**30), 1e30, "9" * 30])
def test_a_number_that_no_message_can_carry_is_refused_by_name(number: float | str) -> None:
    """Read, it could not be written again."""
    with pytest.raises(MalformedMessageError) as caught:
        decode(PlaceAdapter, json.dumps({"adapter": "a/b/c", "replicas_max": number}).encode())
    assert caught.value.field == "replicas_max"


def test_the_largest_number_that_can_travel_does() -> None:
    largest = decode(PlaceAdapter, json.dumps({"adapter": "a/b/c", "replicas_max": 2**64 - 1}).encode())
    assert decode(PlaceAdapter, encode(largest)) == largest


def test_a_cancel_without_a_tenant_is_refused() -> None:
    """The empty name has no subject token: it must not get as far as one."""
    with pytest.raises(MalformedMessageError) as caught:
        decode(CancelJob, msgpack.packb({"tenant": "", "job": "a"}))
    assert caught.value.field == "tenant"


SAMPLES: tuple[Message, ...] = (
    Job(id="a", prompt="b", sampling=Sampling(seed=5, stop=("x",)), metadata={"k": "v"}),
    Job(id="a", messages=(ChatTurn(role="user", content="b"),), deadline=5.0),
    WorkerLoad(worker="w", epoch=1, number=2, seen={"d": 3}, room=4, holding=("YARD_JOBS-1",)),
    JobResult(job="a", tenant="t", state=ResultState.SUCCEEDED, text="x"),
)


@pytest.mark.parametrize("as_json", [False, True], ids=["msgpack", "json"])
@pytest.mark.parametrize("message", SAMPLES, ids=["prompt", "messages", "load", "result"])
def test_damaged_bytes_are_malformed_and_nothing_worse(message: Message, as_json: bool) -> None:
    """Whatever a broken publisher sends, one kind of error comes of it: a loop above catches just that."""
    whole = message.model_dump_json().encode() if as_json else encode(message)
    damage = random.Random(17)
    read = refused = 0
    for _ in range(MUTATIONS // len(SAMPLES)):
        try:
            decode(type(message), _damaged(whole, damage))
            read += 1
        except MalformedMessageError:
            refused += 1
    assert refused > read > 0


def _damaged(whole: bytes, damage: random.Random) -> bytes:
    body = bytearray(whole)
    for _ in range(damage.randint(1, 3)):
        at = damage.randrange(len(body)) if body else 0
        match damage.randrange(4):
            case 0:
                body[at : at + 1] = bytes([damage.randrange(256)])
            case 1:
                del body[at : at + damage.randint(1, 8)]
            case 2:
                body[at:at] = damage.randbytes(damage.randint(1, 8))
            case _:
                del body[at:]
    return bytes(body)


def test_the_usual_order_of_stages_is_not_written_and_another_is() -> None:
    """A reader that knows fewer stages fills in its own order."""
    written: dict[str, Any] = msgpack.unpackb(encode(RouteTable()))  # type: ignore[assignment]
    assert "order" not in written
    other = RouteTable(order=ORDER[::-1])
    assert decode(RouteTable, encode(other)) == other
    assert RouteTable().model_dump(mode="json")["order"] == list(ORDER)
