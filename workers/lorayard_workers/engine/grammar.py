"""Answers that fit a JSON schema: which tokens may come next, by llguidance's parser.

The schema becomes a grammar once (and stays in a small cache); each row walks its own copy. After every token
the parser tells which tokens of the whole vocabulary may follow, as a mask over the logits. Source of the
library: github.com/guidance-ai/llguidance.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from tokenizers import Tokenizer
from torch import Tensor

from lorayard_workers.base_model import BaseModel
from lorayard_workers.errors import RequestRefusedError

MAX_SCHEMA_BYTES = 64 * 1024
"""Schemas of real programs have some kilobytes; compiling takes milliseconds for each."""

MAX_REASON_CHARACTERS = 500
"""The library quotes the schema; the answer goes to a log and into a message."""

_KEPT_GRAMMARS = 16
"""Of some hundred kilobytes each, at worst a hundred megabytes or so (250,000 lexer states is the bound).
A service asks with a handful of schemas, over and over."""

_ROWS_OF_ONE = 100
"""Rows of one schema share the states of its lexer, which only grow: after so many it is compiled anew, in
1 to 30 ms."""

_INITIAL_LEXER_FUEL = 200_000
"""Twice what an enumeration that fills `MAX_SCHEMA_BYTES` takes. The library's million lets 50 bytes of
nested repetitions (`^(a{1000}){1000}$`) take a second and 100 MB; this ends them in 0.1 to 0.4 s."""

_PROBED_TOKENS = 2
"""A value's opening quote and what follows: where its pattern is first unfolded."""

_WHITE_SPACE = " "
"""At most one between the parts of a document: with no bound a model at a loss writes spaces for ever. A
schema can say otherwise by `"x-guidance": {"whitespace_pattern": "..."}`."""

_FIELD = "sampling.json_schema"


class Grammar:
    """Where one row is in its grammar. One thread at a time."""

    def __init__(self, compiled: _Compiled, matcher: LLMatcher, mask_of_byte: Tensor) -> None:
        self._compiled = compiled
        self._matcher = matcher
        self._mask_of_byte = mask_of_byte

    @property
    def ended(self) -> bool:
        """Whether nothing can follow: the document is whole."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def failure(self) -> str | None:
        """Why the grammar can go no further, if it cannot."""
        return self._matcher.get_error()[:MAX_REASON_CHARACTERS] if self._matcher.is_error() else None

    def mask(self, logits: Tensor) -> Tensor | None:
        """[vocabulary], as `logits`: 0 for each token that may follow, -inf for others; None: it failed."""
        bits = bytearray(self._matcher.compute_bitmask())
        if self._matcher.is_error():  # the bits would ask for the end of the row, as if all were well
            self._compiled.matcher = None  # what made it fail may hold a hundred megabytes
            return None
        allowed = torch.frombuffer(bits, dtype=torch.uint8)
        # A table of bytes is four times as fast as taking the bits apart.
        mask = torch.nn.functional.embedding(allowed.to(logits.device).int(), self._table(logits.device))
        return mask.view(-1)[: len(logits)]

    def took(self, token: int) -> None:
        """The row has taken this token. One that may not follow makes the grammar fail."""
        self._matcher.consume_token(token)

    def _table(self, device: torch.device) -> Tensor:
        if self._mask_of_byte.device != device:
            self._mask_of_byte = self._mask_of_byte.to(device)
        return self._mask_of_byte


@dataclass(slots=True)
class _Compiled:
    """A schema's matcher at its beginning."""

    matcher: LLMatcher | None  # None: a row failed by it
    rows: int = 0  # that started with it


class Grammars:
    """Makes grammars for the tokens of one base model."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, end_ids: Sequence[int]) -> None:
        """3 seconds and 270 MB for 262,144 tokens, and no other thread runs meanwhile: make it at start.

        tokenizer is a transformers one.
        """
        self._tokenizer = _bridge(tokenizer, vocabulary, end_ids)
        self._known: OrderedDict[str, _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        bits = (torch.arange(256)[:, None] >> torch.arange(8)) & 1
        self._mask_of_byte = torch.where(bits.bool(), 0.0, -math.inf)

    @classmethod
    def of(cls, base: BaseModel) -> Self:
        """Those of a base model's own tokens."""
        vocabulary = int(base.model.config.vocab_size)
        return cls(base.tokenizer, vocabulary=vocabulary, end_ids=sorted(base.eos_ids))

    def grammar(self, schema: str) -> Grammar:
        """A fresh grammar for a schema, with its first masks computed: those are the dear ones.

        Raises RequestRefusedError with the library's reason.
        """
        with self._lock:
            compiled = self._known.pop(schema, None)  # one that fails is not kept
            matcher = None if compiled is None else compiled.matcher
            # Rows may have used up what a lexer may hold: then its copies fail at once.
            if compiled is None or matcher is None or compiled.rows >= _ROWS_OF_ONE or _fault(matcher):
                matcher = self._compile(schema)
                compiled = _Compiled(matcher)
            compiled.rows += 1
            self._known[schema] = compiled
            if len(self._known) > _KEPT_GRAMMARS:
                self._known.popitem(last=False)
            return Grammar(compiled, matcher.deep_copy(), self._mask_of_byte)

    def _compile(self, schema: str) -> LLMatcher:
        if self._tokenizer is None:
            raise _refused("this worker's tokenizer has no fast form, which answers by a schema need")
        _check(schema)
        try:
            grammar = LLMatcher.grammar_from_json_schema(
                schema,
                defaults={"whitespace_pattern": _WHITE_SPACE},
                # A keyword that answers cannot be held to is refused, though the schema ask to overlook it.
                overrides={"lenient": False},
            )
        except ValueError as error:
            raise _refused(str(error)) from error
        limits = LLParserLimits(
            initial_lexer_fuel=_INITIAL_LEXER_FUEL,
            verbose_errors=False,  # the parser's state helps nobody who wrote a schema
        )
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise _refused(_explained(matcher.get_error()))
        fault = _fault(matcher)
        if fault is not None:
            raise _refused(fault)
        return matcher


def _fault(matcher: LLMatcher) -> str | None:
    """Why a document cannot begin, if it cannot: seen on a copy, which shares the states that it computes."""
    probe = matcher.deep_copy()
    for _ in range(_PROBED_TOKENS):
        allowed = probe.compute_bitmask()
        if probe.is_error() or probe.is_stopped():
            break
        probe.consume_token(_first_of(allowed))
    return _explained(probe.get_error()) if probe.is_error() else None


def _first_of(allowed: bytes) -> int:
    index = next((i for i, bits in enumerate(allowed) if bits), 0)
    return max(0, 8 * index + (allowed[index] & -allowed[index]).bit_length() - 1)


def _explained(error: str) -> str:
    """The library's reason, after one that the author of a schema understands."""
    error = error.removesuffix("\n<non-verbose/>")
    if "NoExtension" in error:
        return f"no document can begin by it; a $ref that leads only to itself does that ({error})"
    if "fuel" in error or "too many" in error:
        return (
            "its patterns, numbers or lengths unfold to more than is taken; "
            f"use smaller bounds, and no bounded repetition within another ({error})"
        )
    return error


def _bridge(tokenizer: Any, vocabulary: int, end_ids: Sequence[int]) -> LLTokenizer | None:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    # Not llguidance's own way in: that copies the tokenizer first, for as long again.
    padding, truncation = backend.padding, backend.truncation
    if padding is not None or truncation is not None:
        backend = Tokenizer.from_str(backend.to_str())
        backend.no_padding()
        backend.no_truncation()
    return LLTokenizer(backend.to_str(), n_vocab=vocabulary, eos_token=list(end_ids) or None)


def _check(schema: str) -> None:
    size = len(schema.encode("utf-8", "replace"))
    if size > MAX_SCHEMA_BYTES:
        raise _refused(f"it has {size} bytes; at most {MAX_SCHEMA_BYTES} are taken")
    try:
        parsed = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise _refused(f"it is not JSON ({error})") from error
    if not isinstance(parsed, dict):
        raise _refused("it must be a JSON object")


def _refused(reason: str) -> RequestRefusedError:
    message = f"{_FIELD} cannot be used: {reason[:MAX_REASON_CHARACTERS]}"
    return RequestRefusedError("bad_json_schema", message, field=_FIELD)
