"""A model that never ends a text by itself, so that every side makes the same number of tokens.

Random adapters on a real model do draw its end-of-sequence token now and then, each side at another place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_NAMES_AN_END = ("config.json", "generation_config.json", "tokenizer_config.json")
_ENDS = ("eos_token_id", "eos_token")


def make_endless(model: Path, folder: Path) -> Path:
    """A copy of a model folder that knows no end-of-sequence token; weights are linked. Returns it."""
    folder.mkdir(parents=True)
    for file in model.iterdir():
        if file.name in _NAMES_AN_END:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            content |= {key: None for key in _ENDS if key in content}
            (folder / file.name).write_text(json.dumps(content), encoding="utf-8")
        elif not file.name.startswith("."):  # not the digest remembered for the other config.json
            (folder / file.name).symlink_to(file.resolve())
    return folder
