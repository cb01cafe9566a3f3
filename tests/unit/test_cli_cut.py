"""Documents cut to a length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_cli.reading.cut import cut_to


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        pytest.param("Short.", 10, "Short.", id="what fits stays whole"),
        pytest.param("One two. Three four.", 12, "One two.", id="the last whole sentence"),
        pytest.param("One two. Three four.", 8, "One two.", id="a sentence that just fits"),
        pytest.param("Is it? Yes! And more.", 12, "Is it? Yes!", id="every kind of end"),
        pytest.param("It costs 3.14 euros today", 16, "It costs 3.14", id="a point in a number ends nothing"),
        pytest.param("one two three four", 9, "one two", id="no sentence: the last whole word"),
        pytest.param("No. thisisoneverylongword", 10, "No. thisis", id="an end too early would lose most"),
        pytest.param("abcdefghij", 4, "abcd", id="no border at all"),
    ],
)
def test_a_document_is_cut_at_the_best_border(text: str, limit: int, kept: str) -> None:
    assert cut_to(text, limit) == kept


def test_a_limit_below_one_character_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        cut_to("text", 0)


@given(st.text(max_size=300), st.integers(min_value=1, max_value=300))
def test_what_is_kept_is_a_beginning_within_the_limit(text: str, limit: int) -> None:
    kept = cut_to(text, limit)
    assert text.startswith(kept)
    assert len(kept) <= limit
    assert kept or not text
