"""Every Python snippet of the README and of the client page runs, in a yard with a tiny model (E2).

A snippet that awaits at its top is one that a reader puts into a coroutine of his own: it has `yard`, an open
client.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
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


async def test_a_snippet_that_is_wrong_fails__e2() -> None:
    code = compile("from lorayard import Client\nClient.genrate", "page:1", "exec")
    with pytest.raises(AttributeError):
        await Snippet(place="page:1", code=code).run(YardSettings())
