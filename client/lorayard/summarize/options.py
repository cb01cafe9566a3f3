"""How documents are to be summarized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lorayard.errors import InvalidRequestError
from lorayard.request import LaneName
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.reading.document import MOST_BYTES
from lorayard.summarize.structure import CHARACTERS_PER_WORD, MOST_POINTS, POINT_CHARACTERS, SPARE_TOKENS
from lorayard.summarize.styles import TOKENS_PER_WORD, WORDS, Style

CHUNK_TOKENS: Final = 1000
"""What a small model still keeps in mind, and a CPU reads in seconds."""

IN_FLIGHT: Final = 64
"""Jobs: as many as fill several workers, with some behind them."""

ATTEMPTS: Final = 3
"""Of an answer that cannot be used: each next one is drawn, not taken as the likeliest."""

_CHARACTERS_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOptions:
    """All of it, checked where it is made."""

    adapter: str | None = None
    """None: the yard chooses."""
    combine_adapter: str | None = None
    """For combining parts; None: the same."""
    style: Style = Style.PARAGRAPH
    words: int | None = None
    """Of a summary, about; None: what is usual for the style."""
    structured: bool = False
    """The answer is a record with title, summary and key points."""
    prompts: PromptSet | None = None
    """None: bare where the adapter has a form of its own, else the usual ones."""
    chunk_tokens: int = CHUNK_TOKENS
    """Of the text in one prompt, at most; less where the model's context is shorter."""
    max_new_tokens: int | None = None
    """Of an answer; None: by `words`."""
    in_flight: int = IN_FLIGHT
    lane: LaneName = "bulk"
    attempts: int = ATTEMPTS
    most_bytes: int = MOST_BYTES
    """Of a file; larger ones are listed."""

    def __post_init__(self) -> None:
        for name in ("words", "chunk_tokens", "max_new_tokens", "in_flight", "attempts", "most_bytes"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InvalidRequestError(field=name, reason=f"at least 1 is needed, got {number}")

    @property
    def wanted_words(self) -> int:
        """Of a summary."""
        return self.words or WORDS[self.style]

    @property
    def part_tokens(self) -> int:
        """Of a partial summary, at most."""
        return self.max_new_tokens or self.wanted_words * TOKENS_PER_WORD

    @property
    def final_tokens(self) -> int:
        """Of a document's last answer, at most; a record takes more than its summary."""
        if not self.structured or self.max_new_tokens is not None:
            return self.part_tokens
        characters = self.wanted_words * CHARACTERS_PER_WORD + MOST_POINTS * POINT_CHARACTERS
        return SPARE_TOKENS + characters // _CHARACTERS_PER_TOKEN
