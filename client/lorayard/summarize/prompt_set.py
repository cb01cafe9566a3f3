"""The prompts of a run: for a whole document, for a part of one, and for combining parts.

A prompt is a text with placeholders; nothing else in it is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Self

from lorayard.errors import InvalidRequestError

TEXT: Final = "{text}"
PLACEHOLDERS: Final = ("{text}", "{title}", "{style}", "{words}")
NAMES: Final = ("whole", "part", "combine")

MOST_CHARACTERS: Final = 16_384
"""More instructions than that leave a document no room."""

_ANY: Final = re.compile(r"\{[A-Za-z_]+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """Three prompts, checked."""

    whole: str
    """For a document that fits into one prompt."""
    part: str
    """For each chunk of a longer one."""
    combine: str
    """For summaries of parts."""

    def __post_init__(self) -> None:
        for name in NAMES:
            _check(name, getattr(self, name))

    @classmethod
    def usual(cls) -> Self:
        """Those that lorayard brings along, for models that follow instructions."""
        folder = files("lorayard.summarize") / "prompts"
        return cls(**{name: (folder / f"{name}.txt").read_text(encoding="utf-8").rstrip() for name in NAMES})

    @classmethod
    def bare(cls) -> Self:
        """The text alone: an adapter that knows what to do brings its own form."""
        return cls(**dict.fromkeys(NAMES, TEXT))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From `whole.txt`, `part.txt` and `combine.txt`; `whole.txt` stands for those that are missing.

        Raises:
            InvalidRequestError: a file cannot be read or used.
        """
        found = {name: _read(folder / f"{name}.txt") for name in NAMES}
        whole = found["whole"]
        if whole is None:
            raise InvalidRequestError(field="prompts", reason=f"{folder} has no whole.txt")
        return cls(**{name: whole if text is None else text for name, text in found.items()})


def fill(prompt: str, **values: str) -> str:
    """The prompt with everything in its place; braces in the values are plain text."""
    return _ANY.sub(lambda match: values.get(match[0][1:-1], match[0]), prompt)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(field="prompts", reason=f"{path} cannot be read: {error}") from error


def _check(name: str, prompt: str) -> None:
    if len(prompt) > MOST_CHARACTERS:
        reason = f"the prompt {name!r} has {len(prompt)} characters, at most {MOST_CHARACTERS} are taken"
        raise InvalidRequestError(field="prompts", reason=reason)
    for found in _ANY.findall(prompt):
        if found not in PLACEHOLDERS:
            reason = f"the prompt {name!r} has {found}; there are {', '.join(PLACEHOLDERS)}"
            raise InvalidRequestError(field="prompts", reason=reason)
    if prompt.count(TEXT) != 1:
        reason = f"the prompt {name!r} has {TEXT} {prompt.count(TEXT)} times, not once"
        raise InvalidRequestError(field="prompts", reason=reason)
