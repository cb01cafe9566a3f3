"""A yard of echo workers, and a way to summarize beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard.summarize.cache import Cache
from lorayard.summarize.identity import YardView
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.plan import make_plan
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import summarize_sources
from lorayard.summarize.sources import find_sources
from lorayard.summarize.tally import Tally
from lorayard.summarize.tokenizer import token_counter


@dataclass
class Summarizer:
    """Summarizes folders, with one cache for all of a test's runs."""

    client: Client
    folder: Path
    tallies: list[Tally] = field(default_factory=list[Tally])

    async def run(self, *paths: Path, **given: object) -> dict[str, DocumentRecord]:
        """The records by name of the file; an echo's answer is its prompt, so the bare text is its own."""
        chosen: dict[str, object] = {"adapter": "base", "prompts": PromptSet.bare(), **given}
        options = SummaryOptions(**chosen)  # type: ignore[arg-type]  # options of the test's choice
        tally = Tally()
        self.tallies.append(tally)
        found: dict[str, DocumentRecord] = {}
        with Cache(self.folder) as cache:
            view = await YardView.of(self.client)
            plan = make_plan(options, view, await token_counter(self.client, view, self.folder))
            async for placed in summarize_sources(self.client, find_sources(paths), plan, cache, tally):
                found[placed.record.name.rpartition("/")[2]] = placed.record
        return found

    @property
    def last(self) -> Tally:
        """Of the last run."""
        return self.tallies[-1]


@pytest.fixture
async def summarizer(yard: Yard, tmp_path: Path) -> AsyncIterator[Summarizer]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield Summarizer(client, tmp_path / "cache")


@pytest.fixture
async def own_summarizer(own_yard: Yard, tmp_path: Path) -> AsyncIterator[Summarizer]:
    """In a yard whose server the test may kill."""
    async with Client(settings=own_yard.settings, tenant="acme") as client:
        yield Summarizer(client, tmp_path / "cache")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write documents into a folder, and return it."""

    def write(**texts: str) -> Path:
        (tmp_path / "docs").mkdir(exist_ok=True)
        for name, text in texts.items():
            (tmp_path / "docs" / f"{name}.txt").write_text(text, encoding="utf-8")
        return tmp_path / "docs"

    return write
