"""Small models go round in circles: what they said before that is kept (E6)."""

from __future__ import annotations

import pytest

from lorayard.summarize.structure import without_loop


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("A library for locks locks locks locks lo", "A library for locks", id="a word"),
        pytest.param("It is. " + "It is so. " * 5 + "It", "It is. It is so.", id="a sentence"),
        pytest.param("One two three. One two three. Fo", "One two three. One two three. Fo", id="said twice"),
        pytest.param("Short", "Short", id="one word"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_an_answer_is_kept_up_to_its_loop__e6(text: str, kept: str) -> None:
    assert without_loop(text) == kept
