"""The form of the prompts an adapter was trained on: `prompt_template.txt` in its folder, if there is one.

A text with `{prompt}` in it once. Nothing is evaluated: an adapter from untrusted hands may say what stands
around a prompt, and no more (G5). It is part of the adapter's digest, because it is part of what it answers.
"""

from __future__ import annotations

from pathlib import Path

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.plain_file import read_plain_file

TEMPLATE_NAME = "prompt_template.txt"
PLACE = "{prompt}"
MAX_BYTES = 8192
"""Instructions of several pages fit; a whole context does not."""


def read_prompt_template(folder: Path) -> str | None:
    """The template, or None: prompts then go to the model as they are.

    Raises:
        AdapterRefusedError: it is no plain file, too long, not UTF-8 or does not say once where the
            prompt goes.
    """
    try:
        data = read_plain_file(folder, TEMPLATE_NAME, MAX_BYTES)
    except FileNotFoundError:
        return None
    try:
        template = bytes(data).decode()
    except UnicodeDecodeError as error:
        raise AdapterRefusedError(folder, f"{TEMPLATE_NAME} is not UTF-8: {error}") from error
    places = template.count(PLACE)
    if places != 1:
        raise AdapterRefusedError(folder, f"{TEMPLATE_NAME} has {PLACE} {places} times, not once")
    return template


def fill(template: str, prompt: str) -> str:
    """The prompt in its place; braces in either are plain text."""
    before, _, after = template.partition(PLACE)
    return f"{before}{prompt}{after}"
