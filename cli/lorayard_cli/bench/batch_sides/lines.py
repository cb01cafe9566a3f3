"""Inputs for batches, and what their files say afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_lines(path: Path, models: Iterable[str], *, text: str = "hello", max_tokens: int = 16) -> int:
    """One line for each model that is named; how many."""
    count = 0
    with path.open("w") as file:
        for count, model in enumerate(models, 1):
            messages = [{"role": "user", "content": f"{text} {count}"}]
            body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
            line = {
                "custom_id": f"line-{count}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            }
            file.write(json.dumps(line) + "\n")
    return count


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every line, decoded as strictly as can be.

    Raises:
        ValueError: one is no JSON, or no UTF-8, or torn.
    """
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        raise ValueError(f"{path.name} ends in a torn line")
    return [json.loads(line) for line in raw.decode().splitlines()]


def ids(*paths: Path) -> Counter[str]:
    """How often each custom_id stands in the files."""
    return Counter(line["custom_id"] for path in paths for line in read_lines(path))


def bytes_of(path: Path) -> int:
    """Of a file, or 0 where there is none yet."""
    return path.stat().st_size if path.exists() else 0
