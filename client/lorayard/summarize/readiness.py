"""Who would answer, and how they count tokens, as soon as that is known.

Answers are kept under both. A run that guessed them before a worker was up would cut documents otherwise than
the next one, which would ask everything anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lorayard.client import Client
from lorayard.summarize.counting import TokenCounter
from lorayard.summarize.identity import YardView
from lorayard.summarize.tokenizer import token_counter

LOOK_SECONDS: Final = 0.5

TOKENIZER_SECONDS: Final = 60.0
"""A worker tells of itself before it has put its tokenizer, of up to some ten megabytes, into the store."""

NO_WORKER: Final = "waits for a worker: the length of its context and its tokenizer decide how texts are cut"
NO_TOKENIZER: Final = "waits for the tokenizer of a worker that has just begun"
ESTIMATED: Final = "no worker has put a tokenizer into the yard: tokens are estimated"

Tell = Callable[[str], None]


async def known_yard(client: Client, folder: Path, tell: Tell) -> tuple[YardView, TokenCounter]:
    """Wait for a worker, and for its tokenizer where it has one; `tell` is given what is waited for, once.

    Raises:
        ExtraMissingError, FileMissingError, CacheError: as `token_counter`.
        LorayardError: the yard is away.
    """
    told = set[str]()
    seen: float | None = None
    while True:
        view = await YardView.of(client)
        missing = NO_WORKER
        if view.workers:
            counter = await token_counter(client, view, folder)
            if counter.is_exact or view.has_no_model:
                return view, counter
            seen = time.monotonic() if seen is None else seen
            if time.monotonic() - seen > TOKENIZER_SECONDS:
                tell(ESTIMATED)
                return view, counter
            missing = NO_TOKENIZER
        if missing not in told:
            told.add(missing)
            tell(missing)
        await asyncio.sleep(LOOK_SECONDS)
