"""What every side is given: sizes of the batch, and prompts of random tokens."""

from __future__ import annotations

from random import Random

ROWS = 16
"""Of the table; on CPUs with matrix units a step of 16 rows costs 1.2 times a step of one."""
ADAPTERS = 16
"""Loaded on every side that has adapters, also where only 8 of them are used."""
RANK = 16
"""On all linears."""
SEED = 20


def prompts(vocabulary: int, tokens: int) -> list[list[int]]:
    """One of so many tokens for each row; ids that tokenizers use for ordinary text."""
    random = Random(SEED)
    return [[random.randrange(100, min(vocabulary, 8000)) for _ in range(tokens)] for _ in range(ROWS)]


def adapter_of_row(adapters: int) -> list[int]:
    """Which of so many adapters each row uses: in turn, so no two neighbours share one."""
    return [row % adapters for row in range(ROWS)]
