"""The tokenizer of the yard's model, fetched from the yard once and kept on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final

from lorayard.client import Client
from lorayard.summarize.counting import EstimatedTokens, ModelTokens, TokenCounter
from lorayard.summarize.errors import CacheError
from lorayard.summarize.identity import YardView

FOLDER: Final = "tokenizers"


async def token_counter(client: Client, view: YardView, folder: Path) -> TokenCounter:
    """Counts as the yard's model does; an estimate where the yard has no tokenizer, as with echo workers.

    `folder` is where fetched ones are kept, by digest. Of several base models the first one counts.

    Raises:
        ExtraMissingError: it is read by what `lorayard[documents]` brings.
        FileMissingError: the yard has lost it.
        CacheError: it cannot be kept.
    """
    cards = {card.base_digest: card for card in await client.models()}
    known = [cards[digest] for digest in view.base_digests if digest in cards]
    if not known:
        return EstimatedTokens()
    card, sha256 = known[0], known[0].tokenizer.sha256
    place = folder / FOLDER / f"{sha256}.json"
    try:
        if not await asyncio.to_thread(_is_whole, place, sha256):
            await asyncio.to_thread(place.parent.mkdir, parents=True, exist_ok=True)
            incoming = place.with_suffix(f".{os.getpid()}.incoming")
            try:
                await client.models.fetch_tokenizer(card, incoming)
                await asyncio.to_thread(incoming.replace, place)
            finally:
                # Also of a run that was killed: nobody else would ever take them away.
                await asyncio.to_thread(_sweep, place)
        return await asyncio.to_thread(ModelTokens, place, sha256)
    except OSError as error:
        raise CacheError(folder, error.strerror or str(error)) from error
    except ValueError as error:
        raise CacheError(folder, str(error)) from error


def _sweep(place: Path) -> None:
    """Take away what runs that have ended left of this file."""
    for left in place.parent.glob(f"{place.stem}.*.incoming"):
        owner = left.suffixes[-2].removeprefix(".") if len(left.suffixes) > 1 else ""
        if owner == str(os.getpid()) or not _lives(owner):
            left.unlink(missing_ok=True)


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _is_whole(place: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(place.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
