"""What the model is told: prompts with checked placeholders, room for them, and answers that are checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorayard import InvalidRequestError
from lorayard.summarize.counting import EstimatedTokens
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.prompt_set import NAMES, PromptSet, fill
from lorayard.summarize.room import room_for
from lorayard.summarize.structure import PoorAnswerError, check_structured, read_structured, schema
from lorayard.summarize.styles import Style, instruction
from lorayard.summarize.wording import UnusableAnswerError, bullets, plain_summary


def test_prompts_come_from_a_folder_and_whole_stands_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "whole.txt").write_text("Say it: {text}\n", encoding="utf-8")
    (tmp_path / "part.txt").write_text('{"title": "{title}"} {text}', encoding="utf-8")
    prompts = PromptSet.read(tmp_path)
    assert prompts.combine == "Say it: {text}"
    assert fill(prompts.part, text="{style}", title="T") == '{"title": "T"} {style}'


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        pytest.param("no place", "0 times", id="no text"),
        pytest.param("{text} {text}", "2 times", id="twice"),
        pytest.param("{text} {doc}", "has {doc}", id="unknown"),
        pytest.param("{text}" + "x" * 20_000, "characters", id="too long"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_by_name__g3(
    tmp_path: Path, prompt: str, reason: str
) -> None:
    (tmp_path / "whole.txt").write_text(prompt, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=reason):
        PromptSet.read(tmp_path)


def test_a_folder_without_prompts_is_refused__g3(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"no whole\.txt"):
        PromptSet.read(tmp_path)
    (tmp_path / "whole.txt").write_bytes(b"\xff")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        PromptSet.read(tmp_path)


@pytest.mark.parametrize("style", list(Style))
@pytest.mark.parametrize("structured", [False, True])
def test_prompt_text_and_answer_fit_the_context_together__e6(style: Style, structured: bool) -> None:
    options, counter = SummaryOptions(style=style, structured=structured), EstimatedTokens()
    prompts = PromptSet.usual()
    for context in (2048, 32_768):
        room = room_for(options, prompts, counter=counter, context_tokens=context, form="x" * 30)
        assert room.chunk_tokens <= options.chunk_tokens
        longest = max(counter.count(getattr(prompts, name)) for name in NAMES)
        assert room.chunk_tokens + options.part_tokens < context
        assert room.fan_in >= 2
        assert room.fan_in * options.part_tokens + longest + options.final_tokens < context + longest


def test_a_context_that_is_too_short_for_the_words_is_told__g3() -> None:
    with pytest.raises(InvalidRequestError, match="context of 256 tokens"):
        room_for(
            SummaryOptions(words=500),
            PromptSet.usual(),
            counter=EstimatedTokens(),
            context_tokens=256,
        )


@pytest.mark.parametrize("field", ["words", "chunk_tokens", "in_flight", "attempts"])
def test_a_number_below_one_is_refused_by_name__g3(field: str) -> None:
    with pytest.raises(InvalidRequestError, match="at least 1") as caught:
        SummaryOptions(**{field: 0})  # type: ignore[arg-type]  # each is a number
    assert caught.value.field == field


def test_a_record_is_read_and_anything_else_says_why() -> None:
    found = read_structured('{"title": " T ", "summary": "S", "key_points": ["a", "b"]}', 120)
    assert (found.title, found.summary, found.key_points) == ("T", "S", ("a", "b"))
    for text, reason in (
        ('{"title": "T", "sum', "no JSON"),
        ('{"title": "  ", "summary": "S", "key_points": ["a"]}', "title"),
        ('{"title": "T", "summary": "S", "key_points": []}', "key_points"),
        ("[1]", "dictionary"),
        (f'{{"title": {"9" * 5000}}}', "no JSON"),
    ):
        with pytest.raises(UnusableAnswerError, match=reason):
            read_structured(text, 120)


def test_a_label_is_no_part_of_a_summary() -> None:
    assert plain_summary("Summary: It is so.\n") == "It is so."
    assert bullets("- a\n* b\n 3. c\nd") == ("a", "b", "c")
    with pytest.raises(UnusableAnswerError, match="empty"):
        plain_summary(" Summary: \n")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        pytest.param("Summary: A lock. Summary: It is free.", "A lock.\nIt is free.", id="behind a sentence"),
        pytest.param("A lock.\nSummary: A lock.\nSummary: A l", "A lock.", id="what was said"),
        pytest.param("It has the Summary: system files.", "It has the system files.", id="in a sentence"),
        pytest.param("It is in summary: short.", "It is in summary: short.", id="a word"),
    ],
)
def test_a_label_in_the_middle_is_none_either__e6(text: str, summary: str) -> None:
    assert plain_summary(text) == summary


def _record(title: str, *points: str, summary: str = "It locks files.") -> str:
    return json.dumps({"title": title, "summary": summary, "key_points": points})


LOCKED = "Locks end with their process."
AGAIN = "It locks files. " + "It is a useful way to lock a file. " * 2 + "It is a useful way."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(_record("Locks", "title", LOCKED), "key_points", id="the name of a field"),
        pytest.param(_record("Locks", "Key points:", LOCKED), "key_points", id="one as people write it"),
        pytest.param(_record("Locks", "LOCKS.", LOCKED), "key_points", id="the title"),
        pytest.param(_record("Locks", "title:locks.rst", LOCKED), "key_points", id="a field with its name"),
        pytest.param(_record("Locks", LOCKED, LOCKED.upper()), "key_points", id="twice"),
        pytest.param(_record("locks.rst", LOCKED), "title", id="the name of the file"),
        pytest.param(_record("locks", LOCKED), "title", id="without its suffix"),
        pytest.param(_record("title", LOCKED), "title", id="the title is a field's name"),
        pytest.param(_record("Files", LOCKED, summary="So it is. " * 4 + "So"), "summary", id="a loop"),
        pytest.param(_record("Files", LOCKED, summary=AGAIN), "summary", id="a sentence again"),
        pytest.param(_record("Files", LOCKED, summary="locks.rst"), "summary", id="the file as its summary"),
    ],
)
def test_a_record_that_says_little_is_poor_and_can_be_used__e6(text: str, reason: str) -> None:
    with pytest.raises(PoorAnswerError, match=reason):
        check_structured(text, 120, names=("locks.rst", "locks"))
    assert read_structured(text, 120).key_points == (LOCKED,)


def test_a_text_that_was_cut_at_its_limit_ends_with_a_sentence_or_a_word__e6() -> None:
    words, limit = 10, 80
    cut = "It locks files by their names. It waits for those who hold them, as long as somebody"[:limit]
    for summary, kept in (
        (cut, "It locks files by their names."),
        ("one two three four five six seven eight nine ten eleven twelve thirteen fourteen", "…"),
        ("No full stop", "No full stop"),
    ):
        record = _record("Files", LOCKED, summary=summary)
        assert read_structured(record, words).summary.endswith(kept)
        assert len(read_structured(record, words).summary) <= limit


def test_a_record_that_says_nothing_cannot__e6() -> None:
    for text in ("{}", _record("Locks", LOCKED, summary="summary")):
        with pytest.raises(UnusableAnswerError) as caught:
            check_structured(text, 120, names=())
        assert not isinstance(caught.value, PoorAnswerError)
    check_structured(_record("Locks of files", LOCKED), 120, names=("locks.rst",))


@pytest.mark.parametrize("words", [1, 5, 120])
def test_what_an_answer_is_held_to_is_longer_than_a_fields_name_and_can_be_kept__e6(words: int) -> None:
    fields = schema(words)["properties"]
    assert fields["summary"]["minLength"] <= fields["summary"]["maxLength"]
    assert fields["key_points"]["items"]["minLength"] > len("key_points")
    assert fields["title"]["minLength"] > len("title")


def test_the_instructions_of_a_record_name_none_of_its_fields__e6() -> None:
    told = instruction(Style.LINE, 30, as_record=True)
    assert "key_points" not in told
    assert told.startswith(instruction(Style.LINE, 30))
