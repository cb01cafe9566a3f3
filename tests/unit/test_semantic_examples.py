"""Examples as an operator writes them: what is wrong is told with file, line and field (B4)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import lorayard_cli.demo
from lorayard_shared.semantic.errors import ExamplesError
from lorayard_shared.semantic.examples import (
    MAX_FILE_BYTES,
    MAX_PROMPT_CHARACTERS,
    NONE,
    examples_digest,
    parse_examples,
    prompt_digest,
    read_examples,
)

GOOD = '{"adapter": "acme/tiny/sums@stable", "prompt": "add these"}'
DEMO = Path(lorayard_cli.demo.__file__).parent


def test_a_line_is_an_example_and_empty_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(f'\n{GOOD}\r\n\n{{"adapter": "none", "prompt": "a\u2028b"}}\n', encoding="utf-8")
    found = read_examples(path)
    assert [(one.adapter, one.prompt) for one in found] == [
        ("acme/tiny/sums@stable", "add these"),
        (NONE, "a\u2028b"),
    ]


def test_a_file_may_begin_with_the_mark_of_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert [one.prompt for one in read_examples(path)] == ["add these"]


@pytest.mark.parametrize(
    ("row", "field", "words"),
    [
        ("{", "", "no JSON"),
        ("[" * 100_000, "", "no JSON"),
        ('"text"', "", "no JSON object"),
        ('{"prompt": "x"}', "adapter", "is missing"),
        ('{"adapter": "base"}', "prompt", "is missing"),
        ('{"adapter": "base", "adapter": "none", "prompt": "x"}', "", "twice"),
        ('{"adapter": "base", "prompt": " "}', "prompt", "not empty"),
        ('{"adapter": "base", "prompt": 7}', "prompt", "must be text"),
        ('{"adapter": null, "prompt": "x"}', "adapter", "must be text"),
        ('{"adapter": "Sums", "prompt": "x"}', "adapter", "is not an adapter"),
        ('{"adapter": "base", "prompt": "x", "weight": 2}', "weight", "unknown field"),
        (json.dumps({"adapter": "base", "prompt": "x" * (MAX_PROMPT_CHARACTERS + 1)}), "prompt", "more than"),
    ],
)
def test_a_wrong_line_is_told_with_file_line_and_field(row: str, field: str, words: str) -> None:
    with pytest.raises(ExamplesError, match=words) as refused:
        parse_examples(f"{GOOD}\n\n{row}\n", "mine.jsonl")
    assert (refused.value.source, refused.value.line, refused.value.field) == ("mine.jsonl", 3, field)


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(GOOD.encode() + b"\n\xff")
    with pytest.raises(ExamplesError, match="not UTF-8") as refused:
        read_examples(odd)
    assert refused.value.line == 2
    (tmp_path / "empty.jsonl").write_text("\n")
    with (tmp_path / "huge.jsonl").open("wb") as huge:
        huge.truncate(MAX_FILE_BYTES + 1)
    for name, words in {"empty": "no example", "huge": "more than", "none": "cannot be read"}.items():
        with pytest.raises(ExamplesError, match=words):
            read_examples(tmp_path / f"{name}.jsonl")
    with pytest.raises(ExamplesError, match="not a regular file"):
        read_examples(tmp_path)


def test_prompts_that_differ_in_case_and_blanks_are_one() -> None:
    assert prompt_digest(" Add  THESE\n") == prompt_digest("add these")
    assert prompt_digest("add these") != prompt_digest("add those")
    assert prompt_digest("\ud800") != prompt_digest("add these")


def test_the_digest_of_examples_knows_no_order() -> None:
    found = parse_examples(f'{GOOD}\n{{"adapter": "base", "prompt": "x"}}', "mine.jsonl")
    assert examples_digest(found) == examples_digest(found[::-1])
    assert examples_digest(found) != examples_digest(found[:1])


def test_the_demos_held_out_prompts_are_none_of_its_examples__b4() -> None:
    examples, held_out = (read_examples(DEMO / f"routing_{name}.jsonl") for name in ("examples", "held_out"))
    taught = {prompt_digest(one.prompt) for one in examples}
    assert not taught & {prompt_digest(one.prompt) for one in held_out}
    assert min(Counter(one.adapter for one in examples).values()) >= 10
    counts = Counter(one.adapter for one in held_out)
    assert counts.keys() == {one.adapter for one in examples} | {NONE}
    assert min(counts.values()) >= 20
