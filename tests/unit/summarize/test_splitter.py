"""Documents cut for a model: nothing lost, no budget broken, borders where a reader has them (E6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from lorayard.summarize.borders import cut_at
from lorayard.summarize.counting import EstimatedTokens, ModelTokens, TokenCounter
from lorayard.summarize.splitter import split


class Words:
    """A word with the space before it is a token, as most tokenizers have it."""

    name = "words"
    is_exact = True
    _token = re.compile(r"\s?\S+|\s+")

    def count(self, text: str) -> int:
        return len(self._token.findall(text))

    def prefix(self, text: str, tokens: int) -> int:
        ends = [match.end() for match in self._token.finditer(text)]
        return ends[tokens - 1] if len(ends) >= tokens else len(text)


COUNTERS: list[TokenCounter] = [Words(), EstimatedTokens()]

texts = st.text(st.one_of(st.sampled_from("ab .\n#=-é漢🦙\t\f"), st.characters(codec="utf-8")), max_size=400)


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, max_size=8), st.integers(1, 60), st.sampled_from(COUNTERS))
def test_chunks_are_the_text_and_hold_the_budget__e6(
    blocks: list[str], budget: int, counter: TokenCounter
) -> None:
    chunks = list(split(blocks, counter, budget))
    assert "".join(chunk.text for chunk in chunks) == "".join(blocks)
    for chunk in chunks:
        assert chunk.tokens == counter.count(chunk.text)
        assert chunk.tokens <= budget or len(chunk.text) == 1


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 60), st.integers(1, 50), st.sampled_from(COUNTERS))
def test_the_blocks_that_a_text_comes_in_change_nothing_but_the_last_chunks(
    text: str, budget: int, size: int, counter: TokenCounter
) -> None:
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    assert "".join(c.text for c in split(blocks, counter, budget)) == text


def test_sections_are_kept_whole_where_they_fit() -> None:
    section = "# Title\n\n" + "One two three four five. " * 3 + "\n"
    chunks = list(split([section * 6], Words(), 40))
    assert all(chunk.text.startswith("# Title") for chunk in chunks)


def test_sentences_are_kept_whole_where_sections_do_not_fit() -> None:
    chunks = list(split(["One two three four. " * 50], Words(), 30))
    assert all(chunk.text.strip().endswith(".") for chunk in chunks)


def test_the_last_two_chunks_are_of_a_size() -> None:
    chunks = list(split(["word " * 110], Words(), 100))
    assert len(chunks) == 2
    assert min(chunk.tokens for chunk in chunks) >= 40


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        list(split(["x"], Words(), 0))


def test_a_word_without_end_is_cut_in_characters() -> None:
    chunks = list(split(["x" * 1000], EstimatedTokens(), 10))
    assert {chunk.tokens for chunk in chunks} <= set(range(1, 11))


@pytest.mark.parametrize(
    ("text", "limit", "before"),
    [
        pytest.param("one two three", 8, "one two ", id="word"),
        pytest.param("One two. Three four", 16, "One two. ", id="sentence"),
        pytest.param("a b\n\nc d e", 8, "a b\n\n", id="paragraph"),
        pytest.param("abcdefgh", 3, "abc", id="characters"),
        pytest.param("short", 9, "short", id="fits"),
    ],
)
def test_a_text_is_cut_at_the_strongest_border(text: str, limit: int, before: str) -> None:
    assert text[: cut_at(text, limit)] == before


def test_an_endless_text_is_cut_without_reading_it_whole() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "word " * 100

    chunks = split(endless(), Words(), 50)
    assert next(chunks).tokens <= 50
    assert read < 10


def test_a_real_tokenizer_counts_as_its_model_does(tmp_path: Path) -> None:
    vocabulary = {"<unk>": 0, "hello": 1, "world": 2}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    counter = ModelTokens(file, "digest")
    assert counter.count("hello world hello") == 3
    assert counter.prefix("hello world hello", 2) == len("hello world")
    with pytest.raises(ValueError, match="no tokenizer"):
        ModelTokens(Path(__file__), "digest")
