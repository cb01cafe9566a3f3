"""Every Python snippet of the README and of the client page runs, in a yard with a tiny model (E2); those on
adapters and batches too, where they find what they speak of.

A snippet that awaits at its top is one that a reader puts into a coroutine of his own: it has `yard`, an open
client.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import pytest
from tests.bus.conftest import Yard
from tests.conftest import Tally

import lorayard
from lorayard import Client
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

pytestmark = pytest.mark.bus

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/client.md")
NAMED = ("summary", "keywords", "pirate")
SUMMARY, TRIAGE = "acme/gemma3-270m/summary", "acme/gemma3-270m/triage"
USUAL_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One block of Python on a page."""

    place: str
    """As editors open it: page and line."""
    code: CodeType

    async def run(self, settings: YardSettings) -> None:
        """In a thread of its own, as a program has: many begin a loop."""
        await asyncio.to_thread(self._run, settings)

    def _run(self, settings: YardSettings) -> None:
        names: dict[str, object] = {name: getattr(lorayard, name) for name in lorayard.__all__}
        names["__name__"] = "__main__"
        if self.code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(self._await(names, settings))
        else:
            exec(self.code, names)  # our own page

    async def _await(self, names: dict[str, object], settings: YardSettings) -> None:
        async with Client(settings=settings) as yard:
            names["yard"] = yard
            await eval(self.code, names)  # our own page


def snippets(page: str, url: str) -> Iterator[Snippet]:
    text = (ROOT / page).read_text()
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, found.start()) + 2
        place = f"{page}:{line}"
        source = found.group(1).replace(USUAL_URL, url)
        yield Snippet(place=place, code=compile(source, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def told(
    yard: Yard, settings: YardSettings, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> YardSettings:
    """The yard of which the pages speak, where a program finds it."""
    for seed, task in enumerate(NAMED):
        make_tiny_adapter(tmp_path / "adapters/acme/gemma3-270m" / task / "1", seed=seed)
    await yard.dispatcher()
    await yard.worker(
        engine="packed",
        model=str(tiny_model),
        adapters_dir=tmp_path / "adapters",
        dtype="fp32",
        device="cpu",
        threads=1,
        context_tokens=512,
    )
    monkeypatch.setenv("LORAYARD_URL", settings.url)
    monkeypatch.setenv("LORAYARD_PREFIX", settings.prefix)
    return settings


@pytest.mark.parametrize("page", PAGES)
async def test_every_snippet_of_the_page_runs__e2(page: str, told: YardSettings, tally: Tally) -> None:
    found = list(snippets(page, told.url))
    for snippet in found:
        try:
            await snippet.run(told)
        except Exception as error:  # whatever it was: it only learns its place
            error.add_note(f"in {snippet.place}")
            raise
    assert found
    tally("snippets of the documents", len(found))


@pytest.fixture
async def folder(yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs run, beside a yard that echoes."""
    monkeypatch.setenv("LORAYARD_URL", yard.settings.url)
    monkeypatch.setenv("LORAYARD_PREFIX", yard.settings.prefix)
    monkeypatch.chdir(tmp_path)
    make_tiny_adapter(tmp_path / "adapters" / TRIAGE / "1", seed=3, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=tmp_path / "adapters", pulled_dir=tmp_path / "pulled")
    return tmp_path


async def test_the_snippets_on_adapters_run_one_after_the_other__d4(
    settings: YardSettings, folder: Path, tally: Tally
) -> None:
    """Between them the operator has gone on: there is a second version, and an alias."""
    make_tiny_adapter(folder / "out" / "summary", seed=1, targets=("q_proj",))
    (folder / "rules.toml").write_text(
        f'[[rule]]\nname = "sums"\ntask = "sum"\nadapter = "{SUMMARY}@stable"\n'
    )
    pushed, changed = snippets("docs/adapters.md", settings.url)
    await pushed.run(settings)
    async with Client(settings=settings) as client:
        second = make_tiny_adapter(folder / "second", seed=2, targets=("q_proj",))
        await client.adapters.push(second, name=SUMMARY, version="2")
        await client.adapters.activate(f"{SUMMARY}@2")
        await client.aliases.split(f"{SUMMARY}@stable", {"1": 100})
        await changed.run(settings)
        (alias,) = await client.aliases.list()
        assert (alias.revision, alias.shares) == (3, "1=100"), "split, then rolled back"
        assert [rule.name for rule in (await client.rules.get()).rules] == ["sums"]
    tally("snippets of the documents", 2)


async def test_the_snippet_on_batches_answers_every_line__e6(
    settings: YardSettings, folder: Path, tally: Tally
) -> None:
    asked = {"model": "base", "prompt": "hello"}
    lines = [
        {"custom_id": str(number), "method": "POST", "url": "/v1/completions", "body": asked}
        for number in range(3)
    ]
    (folder / "in.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (snippet,) = snippets("docs/batch.md", settings.url)
    await snippet.run(settings)
    assert len((folder / "out.jsonl").read_text().splitlines()) == len(lines)
    tally("snippets of the documents", 1)


async def test_a_snippet_that_is_wrong_fails__e2() -> None:
    code = compile("from lorayard import Client\nClient.genrate", "page:1", "exec")
    with pytest.raises(AttributeError):
        await Snippet(place="page:1", code=code).run(YardSettings())
