"""Example prompts per adapter, as an operator writes them: JSON Lines with `adapter` and `prompt`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from lorayard_schemas.names import check_adapter_spec
from lorayard_shared.adapters.errors import NotPlainFileError
from lorayard_shared.adapters.plain_file import fill, open_plain_file
from lorayard_shared.semantic.errors import ExamplesError
from lorayard_shared.value import value

NONE = "none"
"""Label of a prompt that no adapter is for: the classifier shall abstain."""

MAX_FILE_BYTES = 64 << 20
"""50 examples for each of 1,000 adapters at a kilobyte, and some more."""
MAX_EXAMPLES = 100_000
MAX_PROMPT_CHARACTERS = 65_536
"""A classifier looks at less than 2,000; more is a document put here by mistake."""
_FIELDS = ("adapter", "prompt")


@value
class Example:
    """A prompt and the adapter it is for."""

    adapter: str
    """An adapter spec, `base`, or NONE."""
    prompt: str


def read_examples(path: Path) -> tuple[Example, ...]:
    """All of a file, at least one. Raises ExamplesError, naming file, line and field."""
    source = str(path)
    try:
        data = _read(path, source)
    except NotPlainFileError:
        raise _wrong(source, "is not a regular file") from None
    except OSError as error:
        raise _wrong(source, f"cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")  # editors put the mark there
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _wrong(source, "is not UTF-8", line=line) from None
    return parse_examples(text, source)


def parse_examples(text: str, source: str) -> tuple[Example, ...]:
    """The same from text; `source` is its name, for people. Empty lines are passed over."""
    found = tuple(_parsed(text, source))
    if not found:
        raise _wrong(source, 'holds no example; write one a line: {"adapter": "...", "prompt": "..."}')
    return found


def prompt_digest(prompt: str) -> str:
    """Equal for prompts that differ only in case and blanks: those prove nothing about each other."""
    return hashlib.sha256(" ".join(prompt.casefold().split()).encode("utf-8", "replace")).hexdigest()


def examples_digest(examples: Iterable[Example]) -> str:
    """`sha256:<hex>` of a set of examples, in whatever order."""
    lines = sorted(f"{one.adapter} {prompt_digest(one.prompt)}\n" for one in examples)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _read(path: Path, source: str) -> bytes:
    handle, state = open_plain_file(path)
    try:
        if state.st_size > MAX_FILE_BYTES:
            raise _wrong(source, f"has {state.st_size} bytes, more than {MAX_FILE_BYTES}")
        room = bytearray(state.st_size)
        return bytes(room[: fill(memoryview(room), handle)])
    finally:
        os.close(handle)


def _parsed(text: str, source: str) -> Iterator[Example]:
    count = 0
    # Not splitlines: a prompt may hold U+2028, which JSON leaves as it is.
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        count += 1
        if count > MAX_EXAMPLES:
            raise _wrong(source, f"more than {MAX_EXAMPLES} examples", line=line)
        yield _example(row, source, line)


def _example(row: str, source: str, line: int) -> Example:
    try:
        given: object = json.loads(row, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _wrong(source, f"no JSON: {error!s:.150}", line=line) from None
    if not isinstance(given, dict):
        raise _wrong(source, "no JSON object with adapter and prompt", line=line)
    fields = cast("dict[str, object]", given)
    strange = next((name for name in fields if name not in _FIELDS), None)
    if strange is not None:
        raise _wrong(source, "unknown field; an example has adapter and prompt", line=line, field=strange)
    adapter, prompt = (_text(fields, name, source, line) for name in _FIELDS)
    try:
        label = adapter if adapter == NONE else check_adapter_spec(adapter)
    except ValueError as error:
        raise _wrong(source, str(error), line=line, field="adapter") from None
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        reason = f"{len(prompt)} characters, more than {MAX_PROMPT_CHARACTERS}"
        raise _wrong(source, reason, line=line, field="prompt")
    return Example(adapter=label, prompt=prompt)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what JSON leaves open: which of two values counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field stands there twice")
    return found


def _text(fields: dict[str, object], name: str, source: str, line: int) -> str:
    found = fields.get(name)
    if not isinstance(found, str) or not found.strip():
        state = "is missing" if name not in fields else "must be text that is not empty"
        raise _wrong(source, state, line=line, field=name)
    return found


def _wrong(source: str, reason: str, *, line: int | None = None, field: str = "") -> ExamplesError:
    return ExamplesError(source=source, line=line, field=field, reason=reason)
