"""What limits read of stored results (G3)."""

from __future__ import annotations

import msgpack
import pytest

from lorayard_dispatcher.limiting.results import used_tokens


def test_tokens_of_prompt_and_answer_count() -> None:
    assert used_tokens(msgpack.packb({"usage": {"prompt_tokens": 3, "completion_tokens": 4}})) == 7.0


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        {"usage": None},
        {"usage": 7},
        {"usage": {"prompt_tokens": float("nan")}},
        {"usage": {"prompt_tokens": float("inf"), "completion_tokens": 1}},
        {"usage": {"prompt_tokens": -5}},
        {"usage": {"prompt_tokens": "many"}},
        {"usage": {"prompt_tokens": "nan"}},
    ],
)
def test_a_result_that_tells_nothing_of_use_counts_nothing__g3(told: object) -> None:
    assert used_tokens(msgpack.packb(told)) == 0.0


def test_bytes_that_are_no_result_count_nothing__g3() -> None:
    assert used_tokens(b"\xc1") == 0.0
