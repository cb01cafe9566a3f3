"""How much of a document goes into one prompt, and how many partial summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lorayard.errors import InvalidRequestError
from lorayard.summarize.counting import TokenCounter
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.prompt_set import PromptSet, fill
from lorayard.summarize.styles import instruction

SPARE_TOKENS: Final = 16
"""For what stands around every prompt, and for tokens that differ where texts meet."""

SEPARATOR_TOKENS: Final = 2
"""Between two partial summaries."""

LEAST_CHUNK_TOKENS: Final = 16
TITLE: Final = "x" * 80
"""As long as titles are cut to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """In tokens of the model."""

    chunk_tokens: int
    fan_in: int
    """Partial summaries that are combined by one job."""


def room_for(
    options: SummaryOptions,
    prompts: PromptSet,
    *,
    counter: TokenCounter,
    context_tokens: int,
    form: str = "",
) -> Room:
    """What fits into a context of so many tokens; `form` is what an adapter puts around its prompts.

    Raises:
        InvalidRequestError: nothing useful does.
    """
    around = counter.count(form) + SPARE_TOKENS
    # The longest that any of the prompts is given.
    style = instruction(options.style, options.wanted_words, as_record=options.structured)

    def left(prompt: str, answer_tokens: int) -> int:
        words = str(options.wanted_words)
        frame = counter.count(fill(prompt, text="", title=TITLE, style=style, words=words))
        return context_tokens - answer_tokens - around - frame

    parts = min(left(prompts.whole, options.final_tokens), left(prompts.part, options.part_tokens))
    chunk = min(options.chunk_tokens, parts)
    # A level of the tree reads no more at once than the leaves do, unless two summaries need more.
    each = options.part_tokens + SEPARATOR_TOKENS
    combined = min(max(options.chunk_tokens, 2 * each), left(prompts.combine, options.final_tokens))
    if chunk < LEAST_CHUNK_TOKENS or combined // each < 2:
        reason = (
            f"the model's context of {context_tokens} tokens leaves {max(0, chunk)} for a text and "
            f"{max(0, combined)} for partial summaries of {options.part_tokens}; ask for fewer words"
        )
        raise InvalidRequestError(field="words", reason=reason)
    return Room(chunk_tokens=chunk, fan_in=combined // each)
