"""Regular expressions from strangers, matched so that none of them can take long or much memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import regex as _untyped_regex  # type: ignore[import-untyped]  # has no stubs

from lorayard_shared.adapters.expression import ExpressionError, check_grammar

MAX_PATTERNS = 1024
"""Keys of one mapping: every module is tried against every key, and a 70B model has 560 linears."""

MAX_LOOKUP_WORK = 3_000_000_000
"""Characters of names times characters of keys, each name and key counted with 16 more: under 20 s at the
very worst. A key for the rank and one for alpha of each of a 70B model's 560 linears make 2.5e9."""

MAX_EXPRESSION_CHARACTERS = 4096
"""A list of every module of a model, joined by `|`, has about this much."""

EXPRESSION_SECONDS = 1.0
"""For all modules together. A sound expression takes a millisecond; a bomb would take years."""

Value = TypeVar("Value")

_regex: Any = _untyped_regex
_PLAIN = re.compile(r"[A-Za-z0-9_.\\^$-]{1,512}")
"""Without operators an expression runs in linear time."""


def check_expression(name: str, expression: str) -> None:
    """A setting's whole-name expression keeps to the grammar and can be compiled. Raises ValueError."""
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        raise ValueError(
            f"{name}: an expression of {len(expression)} characters, more than {MAX_EXPRESSION_CHARACTERS}"
        )
    try:
        check_grammar(expression)
        _regex.compile(expression)
    except (ExpressionError, _regex.error) as error:
        raise ValueError(f"{name}: {expression!r:.80} is no module expression: {error}") from None


def fully_matching(name: str, expression: str, texts: Iterable[str]) -> frozenset[str]:
    """The texts that an expression matches from end to end. Raises ValueError when that takes too long."""
    until = time.monotonic() + EXPRESSION_SECONDS
    compiled = _regex.compile(expression)
    found: set[str] = set()
    for text in texts:
        left = until - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            if compiled.fullmatch(text, timeout=left):
                found.add(text)
        except TimeoutError:
            raise ValueError(
                f"{name}: {expression!r:.80} takes more than {EXPRESSION_SECONDS:g} s to match, "
                f"for instance with {text}"
            ) from None
    return frozenset(found)


def check_plain(name: str, patterns: Iterable[str]) -> None:
    """Patterns without operators, not too many of them. Raises ValueError."""
    listed = list(patterns)
    if len(listed) > MAX_PATTERNS:
        raise ValueError(f"{name}: {len(listed)} keys, more than {MAX_PATTERNS}")
    for pattern in listed:
        if not _PLAIN.fullmatch(pattern):
            raise ValueError(f"{name}: pattern key {pattern!r:.80}: only names, dots, \\ ^ and $ are allowed")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{name}: pattern key {pattern!r:.80}: {error}") from None


def check_lookups(name: str, keys: Iterable[str], modules: Iterable[str]) -> None:
    """Every module can be looked up among the keys in bearable time. Raises ValueError."""
    work = sum(len(key) + 16 for key in keys) * sum(len(module) + 16 for module in modules)
    if work > MAX_LOOKUP_WORK:
        raise ValueError(
            f"{name}: too many keys for so many modules ({work:.1e} comparisons of characters, more than "
            f"{MAX_LOOKUP_WORK:.1e}): name modules of the same rank and alpha by one key"
        )


class ModulePatterns(Generic[Value]):
    """Values by module pattern, looked up as PEFT does (`get_pattern_key`): the first key that matches."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._compiled = [(re.compile(rf"(.*\.)?({key})$"), value) for key, value in values.items()]

    def find(self, module: str, default: Value) -> Value:
        """The value of a module, named whole or by its last parts."""
        return next((value for pattern, value in self._compiled if pattern.match(module)), default)
