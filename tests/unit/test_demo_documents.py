"""Markup to prose, and the real documents found on this machine."""

from __future__ import annotations

import pytest

from lorayard_cli.demo.documents import (
    LONGEST_CHARACTERS,
    SHORTEST_CHARACTERS,
    clean_inline,
    complete_sentences,
    cut_at_sentence,
    drop_headings,
    is_prose,
    real_documents,
    strip_code_blocks,
    strip_html,
    strip_rst_blocks,
    to_prose,
)

MARKDOWN = """\
# parsekit

[![PyPI](https://img.shields.io/x.svg)](https://example.org/p) ![logo](logo.png)

<p align="center"><img src="x.svg"></p>

*parsekit* is a [small](https://x.org) library for parsing `log` files quickly.
It has **no** dependencies, see https://x.org/docs for more.

- one
- two

```python
import parsekit
```

| a | b |
|---|---|

The following code shows how it is used:

    parsekit.run()
"""

RST = """\
.. image:: https://x.org/badge.svg
   :target: https://x.org

parsekit
========

This is a `small`_ library for :class:`parsing <x.Parser>` log files, see `the docs <https://x.org>`_.

Example::

    import parsekit

    parsekit.run()

.. _small: https://x.org
"""


def test_markdown_comes_down_to_its_prose() -> None:
    assert to_prose(MARKDOWN) == (
        "parsekit is a small library for parsing log files quickly. It has no dependencies, see for more."
    )


def test_restructured_text_comes_down_to_its_prose() -> None:
    assert to_prose(RST) == "This is a small library for parsing log files, see the docs."


def test_paragraphs_stay_apart() -> None:
    text = "The first one has six words.\n\nThe other one has six, too."
    assert to_prose(text) == text


@pytest.mark.parametrize("text", ["", "\n\n", "# Only a heading", "```\ncode"])
def test_a_text_without_prose_gives_nothing(text: str) -> None:
    assert to_prose(text) == ""


def test_an_unclosed_fence_takes_the_rest() -> None:
    assert strip_code_blocks("Before.\n```\ncode\n").strip() == "Before."


def test_directives_go_with_their_bodies() -> None:
    text = ".. note::\n   inside\n\n   still inside\n\nOutside."
    assert strip_rst_blocks(text).strip() == "Outside."


def test_tags_go_and_their_text_stays() -> None:
    assert strip_html("<b>Fast</b> &amp; small<!-- no --><h1>no</h1>").strip() == "Fast & small"


@pytest.mark.parametrize("heading", ["# Title", "Title\n=====", "Title\n-----", "=====\nTitle\n====="])
def test_headings_go(heading: str) -> None:
    assert drop_headings(f"{heading}\n\nText.").strip() == "Text."


@pytest.mark.parametrize(
    ("block", "prose"),
    [
        ("A plain line.", True),
        ("*name* is emphasised.", True),
        ("[name](x) is linked.", True),
        ("- an item", False),
        ("1. an item", False),
        ("| a | b |", False),
        ("> a quotation", False),
        ("    indented code", False),
        ("$ pip install x", False),
        ("", False),
    ],
)
def test_prose_is_told_from_other_blocks(block: str, prose: bool) -> None:
    assert is_prose(block) is prose


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("a [link](https://x.org) here", "a link here"),
        ("a [![badge](x)](y)", "a"),
        ("a ``literal`` and `code`", "a literal and code"),
        ("a :func:`~x.run` role", "a x.run role"),
        ("a **bold** and _soft_ snake_case word", "a bold and soft snake_case word"),
        ("a .env file (https://x.org) .", "a .env file."),
        ("rockets \U0001f680 away", "rockets away"),
    ],
)
def test_inline_markup_goes_and_words_stay(marked: str, plain: str) -> None:
    assert clean_inline(marked) == plain


def test_an_unfinished_sentence_is_dropped() -> None:
    assert complete_sentences("It is small. Run it like this:") == "It is small."
    assert complete_sentences("Like this:") == ""


def test_a_text_is_cut_before_the_sentence_that_is_too_much() -> None:
    assert cut_at_sentence(["One is here. Two is here.", "Three."], 12) == "One is here."
    assert (
        cut_at_sentence(["One is here. Two is here.", "Three."], 100) == "One is here. Two is here.\n\nThree."
    )


def test_an_abbreviation_ends_no_sentence() -> None:
    assert cut_at_sentence(["Use it, e.g. With care."], 12) == ""


def test_real_documents_are_prose_of_the_promised_length() -> None:
    documents = real_documents(20)
    assert len(documents) == 20
    for document in documents:
        assert SHORTEST_CHARACTERS <= len(document.text) <= LONGEST_CHARACTERS
        assert "://" not in document.text
        assert "```" not in document.text
        assert document.text[-1] in ".!?"


def test_real_documents_come_in_a_fixed_order_without_repeats() -> None:
    documents = real_documents(40)
    assert documents == real_documents(40)
    assert documents[:10] == real_documents(10)
    assert len({document.text for document in documents}) == len(documents)


@pytest.fixture(scope="module")
def all_names() -> list[str]:
    """Of every document that this machine has: hundreds of files are read for it."""
    return [document.name for document in real_documents(10_000)]


def test_licences_fill_up_when_descriptions_run_out(all_names: list[str]) -> None:
    first_licence = next(index for index, name in enumerate(all_names) if "/" in name)
    assert first_licence > 0
    assert all("/" in name for name in all_names[first_licence:])


def test_our_own_description_is_no_real_document(all_names: list[str]) -> None:
    assert "lorayard" not in all_names


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        real_documents(-1)
