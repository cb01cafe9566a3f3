"""All that a run has decided before it asks the first question: prompts, room, who answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from lorayard.summarize.counting import TokenCounter
from lorayard.summarize.identity import Answerer, YardView, key_of
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.room import Room, room_for
from lorayard.summarize.styles import instruction

RECIPE: Final = 2
"""Raised when the same options make other prompts or another tree."""

UNKNOWN_CONTEXT_TOKENS: Final = 2048
"""Where no worker could be asked: jobs may be left for one that comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The same plan and the same document give the same questions."""

    options: SummaryOptions
    prompts: PromptSet
    parts: Answerer
    combining: Answerer
    base_digests: tuple[str, ...]
    counter: TokenCounter
    room: Room

    @property
    def style(self) -> str:
        """What the prompts say about the form of a final answer."""
        return instruction(self.options.style, self.options.wanted_words, as_record=self.options.structured)

    @property
    def style_of_parts(self) -> str:
        """What they say about that of a partial one."""
        return instruction(self.options.style, self.options.wanted_words)

    @property
    def key(self) -> str:
        """What a document's summary hangs on, but for its text."""
        told: dict[str, Any] = {
            "recipe": RECIPE,
            "prompts": asdict(self.prompts),
            "parts": asdict(self.parts),
            "combining": asdict(self.combining),
            "base": self.base_digests,
            "counter": self.counter.name,
            "room": asdict(self.room),
            "style": self.style,
            "words": self.options.wanted_words,
            "tokens": [self.options.part_tokens, self.options.final_tokens],
        }
        return key_of(told)


def make_plan(options: SummaryOptions, view: YardView, counter: TokenCounter) -> Plan:
    """Decide.

    Raises:
        InvalidRequestError: what is asked for does not fit the model's context.
    """
    parts = view.answerer(options.adapter)
    combining = view.answerer(options.combine_adapter or options.adapter)
    prompts = options.prompts or (PromptSet.bare() if parts.form is not None else PromptSet.usual())
    context = view.context_tokens or UNKNOWN_CONTEXT_TOKENS
    form = max((parts.form or "", combining.form or ""), key=len)
    room = room_for(options, prompts, counter=counter, context_tokens=context, form=form)
    return Plan(
        options=options,
        prompts=prompts,
        parts=parts,
        combining=combining,
        base_digests=view.base_digests,
        counter=counter,
        room=room,
    )
