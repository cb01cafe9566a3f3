"""Cuts a text that comes in blocks into chunks of at most so many tokens: nothing lost, nothing twice.

Only the text of about one chunk is in memory. The last two chunks of a text are of about equal length, since
a summary of three lost words is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lorayard.summarize.borders import cut_at
from lorayard.summarize.counting import TokenCounter

WINDOW_CHARACTERS: Final = 8
"""For each token of the budget: what is looked at for one chunk, before more is fetched."""

TIGHTER: Final = 0.9
"""A cut that turns out to have too many tokens is made so much shorter: the tokens of a part are not always
those of the whole."""

BALANCED: Final = 0.55
"""Of what is left, where it makes two chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a text."""

    text: str
    tokens: int


def split(blocks: Iterable[str], counter: TokenCounter, budget_tokens: int) -> Iterator[Chunk]:
    """The chunks of a text; together they are the text.

    Raises:
        ValueError: a budget below one token.
    """
    if budget_tokens < 1:
        raise ValueError(f"a chunk has at least one token, got {budget_tokens}")
    source = iter(blocks)
    window = budget_tokens * WINDOW_CHARACTERS
    text, ended = "", False
    while True:
        while not ended and len(text) < window:
            block = next(source, None)
            text, ended = text + (block or ""), block is None
        if not text:
            return
        chunk, window = _first(text, counter, budget_tokens, ended, window)
        if chunk is not None:
            yield chunk
            text = text[len(chunk.text) :]


def _first(
    text: str, counter: TokenCounter, budget: int, ended: bool, window: int
) -> tuple[Chunk | None, int]:
    """The first chunk, and how much to look at for the next one; None: more of the text has to be there."""
    head, usual = text[:window], budget * WINDOW_CHARACTERS
    tokens = counter.count(head)
    if tokens <= budget:
        if len(head) < len(text) or not ended:
            return None, window * 2
        return Chunk(text=head, tokens=tokens), usual
    limit = budget
    if ended and len(head) == len(text) and tokens <= 2 * budget:
        limit = min(budget, max(1, int(tokens * BALANCED)))
    end = cut_at(head, counter.prefix(head, limit))
    while (found := counter.count(head[:end])) > budget and end > 1:
        end = cut_at(head, max(1, int(end * TIGHTER)))
    return Chunk(text=head[:end], tokens=found), usual
