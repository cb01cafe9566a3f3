"""A long text through `summarize`, beside the engine alone with the chunks of the same text.

The tiny model, one worker with one thread; the time of the engine alone has no bus, no reading, no combining.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from lorayard import Client
from lorayard.summarize.cache import Cache
from lorayard.summarize.counting import TokenCounter
from lorayard.summarize.identity import YardView
from lorayard.summarize.options import SummaryOptions
from lorayard.summarize.plan import Plan, make_plan
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.run import summarize_sources
from lorayard.summarize.sources import find_sources
from lorayard.summarize.splitter import split
from lorayard.summarize.styles import Style
from lorayard.summarize.tally import Tally
from lorayard.summarize.tokenizer import token_counter
from lorayard_cli.bench.engine_sides.serving import OUTCOME_SECONDS, ServingSide
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_schemas.names import BASE
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Outcome
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.model_store import TINY

PAGES: Final = 300
PAGE_CHARACTERS: Final = 2_500
"""Of a printed page."""

ROWS: Final = 8
KV_BYTES: Final = 64 << 20
MODEL_SECONDS: Final = 60.0
"""Until a worker has told its tokenizer."""
LOOK_SECONDS: Final = 0.1

OPTIONS: Final = SummaryOptions(
    adapter=BASE, style=Style.LINE, prompts=PromptSet.bare(), chunk_tokens=1000, in_flight=32
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarizingRun:
    """One text, both ways."""

    seconds: float
    engine_seconds: float
    jobs: int
    chunks: int
    tokens: int

    @property
    def ratio(self) -> float:
        """Wall clock of `summarize` ÷ that of the engine."""
        return self.seconds / self.engine_seconds


def book(pages: int, seed: int = 7) -> str:
    """Sentences and paragraphs of drawn words: no two chunks begin alike, so no prefix is reused."""
    drawn = random.Random(seed)
    words = ["".join(drawn.choices("etaoinshrdlu", k=drawn.randint(2, 9))) for _ in range(2_000)]
    sentences: list[str] = []
    length = 0
    while length < pages * PAGE_CHARACTERS:
        sentences.append(" ".join(drawn.choices(words, k=drawn.randint(6, 20))).capitalize() + ".")
        sentences[-1] += "\n\n" if drawn.random() < 0.1 else " "
        length += len(sentences[-1])
    return "".join(sentences)


async def measure_summarizing(*, pages: int = PAGES) -> SummarizingRun:
    """Summarize in a yard of its own, then run the chunks on an engine of the same settings."""
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as name:
        folder = Path(name)
        text = book(pages)
        await asyncio.to_thread((folder / "book.txt").write_text, text, encoding="utf-8")
        (folder / "adapters").mkdir()
        plan = YardPlan(
            data=folder / "data",
            model=TINY,
            adapters=folder / "adapters",
            workers=1,
            port=0,
            rows=ROWS,
            threads=1,
            environment={"LORAYARD_MODELS_DIR": str(folder / "models"), "LORAYARD_KV_BYTES": str(KV_BYTES)},
        )
        async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
            decided = await _plan(client, folder)
            seconds, tally = await _summarize(client, decided, folder)
        prompts = await asyncio.to_thread(_chunks, text, decided.counter, decided.room.chunk_tokens)
        engine_seconds = await asyncio.to_thread(_engine_alone, folder / "models" / TINY, prompts)
    return SummarizingRun(
        seconds=seconds,
        engine_seconds=engine_seconds,
        jobs=tally.answered,
        chunks=len(prompts),
        tokens=tally.prompt_tokens,
    )


async def _plan(client: Client, folder: Path) -> Plan:
    async with asyncio.timeout(MODEL_SECONDS):
        while True:
            if await client.models():
                break
            await asyncio.sleep(LOOK_SECONDS)  # another process tells it
    view = await YardView.of(client)
    return make_plan(OPTIONS, view, await token_counter(client, view, folder))


async def _summarize(client: Client, plan: Plan, folder: Path) -> tuple[float, Tally]:
    tally = Tally(documents=1)
    with Cache(folder / "cache") as cache:
        started = time.perf_counter()
        sources = find_sources([folder / "book.txt"])
        async for placed in summarize_sources(client, sources, plan, cache, tally):
            if placed.record.error is not None:
                raise RuntimeError(f"the text has no summary: {placed.record.error}")
        return time.perf_counter() - started, tally


def _chunks(text: str, counter: TokenCounter, budget: int) -> list[str]:
    return [chunk.text.strip() for chunk in split([text], counter, budget)]


def _engine_alone(model: Path, prompts: list[str]) -> float:
    config = EngineConfig(rows=ROWS, threads=1, kv_bytes=KV_BYTES, device="cpu")
    sampling = Sampling(max_new_tokens=OPTIONS.part_tokens)
    ended: SimpleQueue[Outcome] = SimpleQueue()
    with ServingSide(model, [], config) as side:
        started = time.perf_counter()
        for number, prompt in enumerate(prompts):
            request = GenerationRequest(
                request_id=str(number), prompt=prompt, adapter=None, sampling=sampling
            )
            side.engine.submit(request, ended.put)
        for _ in prompts:
            ended.get(timeout=OUTCOME_SECONDS)
        return time.perf_counter() - started
