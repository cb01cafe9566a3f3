"""Small models go round in circles: what they said before that is kept (E6)."""

from __future__ import annotations

import pytest

from lorayard.summarize.wording import without_loop


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("A library for locks locks locks locks lo", "A library for locks", id="a word"),
        pytest.param("A lock. " + "It holds. " * 3 + "It", "A lock. It holds.", id="three times"),
        pytest.param(
            "First. " + "It keeps every job until its result is stored. " * 2 + "It ke",
            "First. It keeps every job until its result is stored.",
            id="a whole sentence twice",
        ),
        pytest.param(
            " ".join(f"w{n}" for n in range(35)) + " " + " ".join(f"w{n}" for n in range(35)) + " w0",
            " ".join(f"w{n}" for n in range(35)),
            id="a long sentence twice",
        ),
        pytest.param("It is. " + "It is so. " * 5 + "It", "It is. It is so.", id="a sentence"),
        pytest.param("One two three. One two three. Fo", "One two three. One two three. Fo", id="said twice"),
        pytest.param("Short", "Short", id="one word"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_an_answer_is_kept_up_to_its_loop__e6(text: str, kept: str) -> None:
    assert without_loop(text) == kept
