"""The demo's jobs: real texts, each asked of all three adapters and of the base model, well mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from lorayard import GenerateRequest
from lorayard_cli.demo.corpus import Task
from lorayard_cli.demo.documents import Document
from lorayard_schemas.names import BASE

FAMILY: Final = "acme/gemma3-270m"
SEED: Final = 7
MOST_TOKENS: Final = 40
"""The adapters end by themselves, mostly well before; the base model does not."""

BASE_TOKENS: Final = 16
"""Enough to see that it only goes on with the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoJob:
    """One document for one adapter, or for the base model."""

    document: str
    adapter: str | None
    request: GenerateRequest


def make_jobs(documents: Sequence[Document]) -> list[DemoJob]:
    """Every document four times, in an order that no queue would choose."""
    answerers = [*(f"{FAMILY}/{task}" for task in Task), None]
    jobs = [_job(document, adapter) for document in documents for adapter in answerers]
    Random(SEED).shuffle(jobs)
    return jobs


def _job(document: Document, adapter: str | None) -> DemoJob:
    tokens = BASE_TOKENS if adapter is None else MOST_TOKENS
    request = GenerateRequest(document.text, adapter=adapter or BASE, max_new_tokens=tokens)
    return DemoJob(document=document.name, adapter=adapter, request=request)
