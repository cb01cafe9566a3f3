"""Whole requests for the end-to-end rows: prompts as text and as tokens, adapters, lengths. Seeded.

Every side is given the same tokens and makes the same number of new ones, so a ratio of costs is one of
throughputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

CONTEXT_TOKENS = 512
"""Longer than any request here."""

_SHORTEST_PROMPT, _LEAST_NEW = 20, 8
_HINT_TOKENS = 4

_TEXT = """
the of and to in is that it was for on are as with they at be this from have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so
these would other into has more her two like him see time could no make than first been its who
"""
_WORDS = tuple(_TEXT.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `ids` are what the engine's tokenizer makes of `prompt`; other sides are given the ids."""

    prompt: str
    ids: tuple[int, ...]
    adapter: int
    """Which of the traffic's adapters."""
    new_tokens: int
    """Exactly so many: on every side an end-of-sequence token ends nothing."""

    def shortened(self, new_tokens: int) -> Ask:
        """The same with so many new tokens at most."""
        return replace(self, new_tokens=min(new_tokens, self.new_tokens))

    def hint(self) -> Ask:
        """Just enough of it to load its adapter: a few words, one new token."""
        prompt = " ".join(self.prompt.split()[:_HINT_TOKENS])
        return replace(self, prompt=prompt, ids=self.ids[:_HINT_TOKENS], new_tokens=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests that are all there at the start; each side runs up to 16 at once."""

    name: str
    adapters: int
    rank: int
    asks: tuple[Ask, ...]

    @property
    def prompt_tokens(self) -> int:
        """Of all requests."""
        return sum(len(ask.ids) for ask in self.asks)

    @property
    def new_tokens(self) -> int:
        """Of all requests."""
        return sum(ask.new_tokens for ask in self.asks)


def decode_heavy(tokenizer: Any, requests: int, *, longest_prompt: int, most_new: int) -> Traffic:
    """Prompts of 20 tokens and more, most of them short; 8 new ones and more.

    With 170 and 64 at most, 50 and 27 in the mean.
    """
    random = Random(3)
    lengths = [
        (
            _SHORTEST_PROMPT + round((longest_prompt - _SHORTEST_PROMPT) * random.random() ** 4),
            round(_LEAST_NEW * (most_new / _LEAST_NEW) ** random.random()),
        )
        for _ in range(requests)
    ]
    return _traffic("decode-heavy", tokenizer, lengths, adapters=8, rank=8)


def prefill_heavy(tokenizer: Any, requests: int, *, new_tokens: tuple[int, int]) -> Traffic:
    """Prompts of 120 to 244 tokens and few new ones; twice the adapters, of twice the rank."""
    random = Random(4)
    lengths = [(random.randint(120, 244), random.randint(*new_tokens)) for _ in range(requests)]
    return _traffic("prefill-heavy", tokenizer, lengths, adapters=16, rank=16)


def _traffic(
    name: str, tokenizer: Any, lengths: list[tuple[int, int]], *, adapters: int, rank: int
) -> Traffic:
    asks: list[Ask] = []
    for number, (prompt_tokens, new_tokens) in enumerate(lengths):
        prompt = make_prompt(tokenizer, prompt_tokens, seed=number)
        ids = tuple(tokenizer(prompt)["input_ids"])
        asks.append(Ask(prompt=prompt, ids=ids, adapter=number % adapters, new_tokens=new_tokens))
    return Traffic(name=name, adapters=adapters, rank=rank, asks=tuple(asks))


def make_prompt(tokenizer: Any, tokens: int, *, seed: int) -> str:
    """Random common words that make so many tokens, or one more or less."""
    random = Random(seed)
    text = " ".join(random.choice(_WORDS) for _ in range(tokens))  # a word is a token at least
    return str(tokenizer.decode(tokenizer(text)["input_ids"][:tokens], skip_special_tokens=True))
