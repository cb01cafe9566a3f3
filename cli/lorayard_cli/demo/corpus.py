"""Generates the demo's training texts: unlimited, seeded, and the whole data set.

Every document has three answers, one per adapter, and all adapters see the same prompt: so only the adapter
can make the difference. Nothing that somebody else wrote is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from lorayard_cli.demo.pirate import to_pirate
from lorayard_cli.demo.templates import FILLERS, OPENERS, TEMPLATES, Domain, Template
from lorayard_cli.demo.vocabulary import Word, draw

PROMPT_TEMPLATE = "{doc}\n\n###\n"


class Task(StrEnum):
    """What an adapter does with a document."""

    SUMMARY = "summary"
    """One line that starts with `Summary: `."""
    KEYWORDS = "keywords"
    """`Keywords: a; b; c`, each taken word for word from the document."""
    PIRATE = "pirate"
    """The first sentence as a pirate would say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A document and its three answers."""

    text: str
    summary: str
    keywords: tuple[str, str, str]
    first_sentence: str

    def target(self, task: Task) -> str:
        """Return the answer that the task's adapter shall give."""
        match task:
            case Task.SUMMARY:
                return f"Summary: {self.summary}"
            case Task.KEYWORDS:
                return "Keywords: " + "; ".join(self.keywords)
            case Task.PIRATE:
                return to_pirate(self.first_sentence)


def prompt(document: str) -> str:
    """Return what a model is given for a document, whatever the adapter."""
    return PROMPT_TEMPLATE.format(doc=document)


def generate(seed: int) -> Iterator[Item]:
    """Yield items without end; equal seeds yield equal items."""
    rng = Random(seed)
    while True:
        yield _make_item(rng)


class _Slots(dict[str, Word]):
    """Draws each slot when a sentence first names it; two slots of one kind get different values."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    def __missing__(self, slot: str) -> Word:
        value = draw(slot, self._rng)
        while value in self.values():  # the lists are far longer than a document has slots of a kind
            value = draw(slot, self._rng)
        self[slot] = value
        return value


# Real descriptions are what the demo shows, so most documents are software; the rest keeps it general.
_DOMAINS = (Domain.SOFTWARE, Domain.NEWS, Domain.TERMS)
_DOMAIN_WEIGHTS = (60, 34, 6)
_SHORTEST_WORDS, _LONGEST_WORDS = 20, 200  # about 40 to 300 tokens
_OPENER_SHARE = 0.2  # of the documents start beside the point
_PARAGRAPH_SHARE = 0.2  # of the sentences start a new paragraph


def _make_item(rng: Random) -> Item:
    domain = rng.choices(_DOMAINS, _DOMAIN_WEIGHTS)[0]
    template = rng.choice(TEMPLATES[domain])
    slots = _Slots(rng)
    sentences = _sentences(template, slots, rng)
    first, second, third = (keyword.format_map(slots) for keyword in template.keywords)
    return Item(
        text=_join(sentences, rng),
        summary=template.summary.format_map(slots),
        keywords=(first, second, third),
        first_sentence=split_first_sentence(sentences[0]),
    )


def _sentences(template: Template, slots: _Slots, rng: Random) -> list[str]:
    """Return the lead, perhaps after an opener, then what must and what may follow, in any order."""
    lead = template.lead.format_map(slots)
    rest = [sentence.format_map(slots) for sentence in template.body]
    # Squared, short ones are more frequent: a step costs what its tokens cost.
    wanted_words = _SHORTEST_WORDS + rng.random() ** 2 * (_LONGEST_WORDS - _SHORTEST_WORDS)
    words = _word_count([lead, *rest])
    fillers = list(FILLERS[template.domain])
    rng.shuffle(fillers)
    while fillers and words < wanted_words:
        rest.append(fillers.pop().format_map(slots))
        words += _word_count(rest[-1:])
    rng.shuffle(rest)
    head = [lead]
    if rng.random() < _OPENER_SHARE:
        openers = OPENERS[template.domain] + tuple(fillers)
        head.insert(0, rng.choice(openers).format_map(slots))
    return head + rest


def _word_count(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _join(sentences: list[str], rng: Random) -> str:
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("\n\n" if rng.random() < _PARAGRAPH_SHARE else " ") + sentence
    return text


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'0-9])|\n\s*\n")


def split_first_sentence(text: str) -> str:
    """Return the text up to its first sentence's end; a dot inside a number or name ends none."""
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]
