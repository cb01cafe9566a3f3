"""The demo's generated training texts: seeded, broad, and checkable by program."""

from __future__ import annotations

from itertools import islice

import pytest

from lorayard_cli.demo.corpus import Item, Task, generate, prompt, split_first_sentence
from lorayard_cli.demo.pirate import to_pirate
from lorayard_cli.demo.templates import FILLERS, OPENERS, TEMPLATES, Domain
from lorayard_cli.demo.vocabulary import WORDS, Word


def _items(count: int, seed: int = 7) -> list[Item]:
    return list(islice(generate(seed), count))


def test_equal_seeds_give_equal_items() -> None:
    assert _items(50) == _items(50)


def test_different_seeds_give_different_items() -> None:
    assert not {item.text for item in _items(50, seed=1)} & {item.text for item in _items(50, seed=2)}


def test_documents_do_not_repeat() -> None:
    assert len({item.text for item in _items(2_000)}) == 2_000


def test_documents_have_varied_lengths() -> None:
    lengths = [len(item.text.split()) for item in _items(1_000)]
    assert min(lengths) < 40
    assert max(lengths) > 180


def test_there_are_several_dozens_of_templates() -> None:
    assert sum(map(len, TEMPLATES.values())) >= 60
    assert len(TEMPLATES[Domain.SOFTWARE]) >= 36


@pytest.mark.parametrize("domain", list(Domain))
def test_every_domain_has_openers_and_fillers(domain: Domain) -> None:
    assert OPENERS[domain]
    assert len(FILLERS[domain]) >= 10


def test_no_slot_is_left_open() -> None:
    for item in _items(2_000):
        assert not set("{}") & set(item.text + item.summary + "".join(item.keywords))


def test_every_keyword_stands_in_its_document() -> None:
    for item in _items(2_000):
        for keyword in item.keywords:
            assert keyword.lower() in item.text.lower()


def test_the_three_answers_can_be_told_apart_at_a_glance() -> None:
    for item in _items(200):
        assert item.target(Task.SUMMARY).startswith("Summary: ")
        assert item.target(Task.KEYWORDS).startswith("Keywords: ")
        assert item.target(Task.KEYWORDS).count("; ") == 2
        assert item.target(Task.PIRATE).startswith("Arrr! ")
        assert item.target(Task.PIRATE).endswith(", me hearty!")
        assert not any("\n" in item.target(task) for task in Task)


def test_the_first_sentence_opens_the_document() -> None:
    for item in _items(200):
        assert item.text.startswith(item.first_sentence)
        assert item.first_sentence.endswith((".", "!", "?"))


def test_the_prompt_is_the_same_for_every_adapter() -> None:
    assert prompt("A text.") == "A text.\n\n###\n"


def test_the_prompt_leaves_braces_in_a_document_alone() -> None:
    assert prompt("f{x}") == "f{x}\n\n###\n"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("Is it? Yes.", "Is it?"),
        ("Version 3.11 is out. It is fast.", "Version 3.11 is out."),
        ("A title without a dot\n\nThen a text.", "A title without a dot"),
        ("", ""),
    ],
)
def test_first_sentence_ends_where_it_should(text: str, first: str) -> None:
    assert split_first_sentence(text) == first


@pytest.mark.parametrize(
    ("plain", "pirate"),
    [
        ("You and the crew are ready.", "Arrr! Ye an' th' crew be ready, me hearty!"),
        ("The string is parsing during spring.", "Arrr! Th' string be parsin' during spring, me hearty!"),
        ("Is it new?", "Arrr! Be 't fresh-plundered, me hearty!"),
    ],
)
def test_pirate_talk_follows_its_rules(plain: str, pirate: str) -> None:
    assert to_pirate(plain) == pirate


@pytest.mark.parametrize(
    ("verb", "third_person", "gerund"),
    [
        ("parse", "parses", "parsing"),
        ("copy", "copies", "copying"),
        ("scan", "scans", "scanning"),
        ("format", "formats", "formatting"),
        ("compress", "compresses", "compressing"),
        ("display", "displays", "displaying"),
    ],
)
def test_verbs_are_inflected(verb: str, third_person: str, gerund: str) -> None:
    assert (Word(verb).s, Word(verb).ing) == (third_person, gerund)


def test_words_take_articles_and_capitals() -> None:
    assert Word("open source").a.cap == "An open source"
    assert Word("parser").a == "a parser"


def test_no_vocabulary_repeats_a_word() -> None:
    for key, words in WORDS.items():
        assert len(set(words)) == len(words), key
