"""Example prompts per adapter, as an operator writes them: JSON Lines with `adapter` and `prompt`."""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.value import value

NONE = "none"
"""Label of a prompt that no adapter is for: the classifier shall abstain."""


@value
class Example:
    """A prompt and the adapter it is for."""

    adapter: str
    """An adapter spec, `base`, or NONE."""
    prompt: str


def read_examples(path: Path) -> tuple[Example, ...]:
    """All of a file. Raises ExamplesError, naming file, line and field."""
    raise NotImplementedError
