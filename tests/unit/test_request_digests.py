"""What makes two requests under one idempotency key the same."""

from __future__ import annotations

from typing import Any

import pytest

from lorayard import ChatTurn, GenerateRequest, Retry
from lorayard.request_digest import request_digest

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "string"}}}
OTHER_ORDER = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}


def digest(prompt: Any = "p", **options: Any) -> str:
    return request_digest(GenerateRequest(prompt, **options))


def test_a_schema_is_the_same_as_text_and_as_data_however_it_is_spaced__e2() -> None:
    spaced = '{"type":"object",\n "properties": {"b":{"type":"integer"}, "a":{"type":"string"}}}'
    assert digest(json_schema=SCHEMA) == digest(json_schema=spaced)


def test_a_schema_whose_answers_have_their_keys_in_another_order_is_another__e2() -> None:
    assert digest(json_schema=SCHEMA) != digest(json_schema=OTHER_ORDER)


@pytest.mark.parametrize("text", ["{", "[" * 60_000, ""])
def test_a_schema_that_cannot_be_read_still_has_a_digest__e2(text: str) -> None:
    assert len(digest(json_schema=text)) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"template": "".join(["adap", "ter"])}, {}),
        ({"max_new_tokens": int("256")}, {}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"stop": "x"}, {"stop": ["x"]}),
        ({"logit_bias": {7: 1, 8: 2}}, {"logit_bias": {"8": 2.0, "7": 1.0}}),
        ({"retry": {"max_attempts": 3}}, {"retry": Retry(max_attempts=3)}),
        ({"retry": {"base_seconds": 2}}, {"retry": Retry(base_seconds=2.0, cap_seconds=None)}),
        ({"metadata": {"a": "1", "b": "2"}}, {"metadata": {"b": "2", "a": "1"}}),
        ({"run_limit_seconds": 5}, {"run_limit_seconds": 5.0}),
    ],
)
def test_two_ways_to_say_one_thing_are_one_request__e2(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest(**one) == digest(**other)


def test_turns_are_the_same_as_data_and_as_turns__e2() -> None:
    turn = {"role": "user", "content": "hello"}
    assert digest([turn]) == digest([ChatTurn.model_validate(turn)])
    assert digest([turn]) != digest("hello")
