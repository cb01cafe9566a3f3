"""What a summary looks like: a line, a paragraph, bullets or key points, and how long it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Style(StrEnum):
    """The form of a summary."""

    LINE = "line"
    PARAGRAPH = "paragraph"
    BULLETS = "bullets"
    KEY_POINTS = "key-points"


WORDS: Final = {Style.LINE: 30, Style.PARAGRAPH: 120, Style.BULLETS: 120, Style.KEY_POINTS: 80}
"""Where nothing is said."""

TOKENS_PER_WORD: Final = 2
"""Room for long words and other languages; English takes 1.3."""

_SENTENCES: Final = {
    Style.LINE: "Write one sentence of at most {words} words.",
    Style.PARAGRAPH: "Write one paragraph of at most {words} words.",
    Style.BULLETS: 'Write a list of at most {words} words in all; each line begins with "- ".',
    Style.KEY_POINTS: 'Write the three to five most important points, each on a line that begins with "- ", '
    "of at most {words} words in all.",
}


AS_RECORD: Final = (
    " Answer as JSON: a short title that says what the document is about, the summary, and the most "
    "important points, each a whole sentence with one fact from the document."
)
"""Names of its fields do not stand here: small models give them back as if they were points."""


def instruction(style: Style, words: int, *, as_record: bool = False) -> str:
    """How the model is told; `as_record` is for an answer that a JSON schema holds to its form."""
    told = _SENTENCES[style].replace("{words}", str(words))
    return told + AS_RECORD if as_record else told
