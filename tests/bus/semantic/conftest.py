"""A small classifier of two subjects, and a yard that may have it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import save
from tests.bus.conftest import ADAPTER, Yard
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from lorayard.registry.classifying import put_in_force, record_of
from lorayard_cli.app import run_command
from lorayard_cli.exit_codes import ExitCode
from lorayard_schemas.result import Maker
from lorayard_schemas.semantic import SemanticRecord, SemanticStatus
from lorayard_shared.bus.connection import connect
from lorayard_shared.registry.records import Author
from lorayard_shared.semantic.artifact import Artifact
from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.examples import Example
from lorayard_shared.semantic.record import EncoderKind
from lorayard_shared.semantic.training import train
from lorayard_shared.settings import YardSettings

WaitUntil = Callable[..., Awaitable[None]]

SUMS = ("add", "numbers", "total", "plus", "sum", "amounts", "figures", "ledger")
SEAS = ("ship", "sailor", "ocean", "anchor", "harbour", "captain", "storm", "deck")
OTHERS = ("the", "of", "a", "please", "with", "my")
ANNE = Author(actor="anne", reason="tried")

UNLIKE = "quite something else altogether"


def encoder() -> EncoderFiles:
    """Words of two subjects, each near its own; all others are one word to it."""
    words = ("[unk]", *OTHERS, *SUMS, *SEAS)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[unk]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    rows = np.random.default_rng(1).integers(-10, 11, (len(words), 16)).astype(np.int8)
    rows[[words.index(word) for word in SUMS], 0] = 100
    rows[[words.index(word) for word in SEAS], 1] = 100
    rows[: 1 + len(OTHERS), 2] = 100
    table = save({"rows": rows, "scales": np.ones(len(words), np.float32)})
    return EncoderFiles(kind=EncoderKind.BASE_TABLE, tokenizer=tokenizer.to_str().encode(), table=table)


def examples(sums: str = ADAPTER, seas: str = "base") -> list[Example]:
    """Four words of a subject in each."""
    return [
        Example(adapter=adapter, prompt=f"please {words[i]} {words[i - 1]} of {words[i - 2]}")
        for adapter, words in ((sums, SUMS), (seas, SEAS))
        for i in range(len(words))
    ]


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return train(examples(), encoder())


@pytest.fixture(scope="module")
def turned() -> Artifact:
    """As the other, with its labels exchanged."""
    return train(examples("base", ADAPTER), encoder())


@pytest.fixture
async def yard(
    make_settings: Callable[..., Awaitable[YardSettings]],
    wait_until: WaitUntil,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Yard]:
    monkeypatch.setenv("LORAYARD_CLASSIFIERS_DIR", str(tmp_path / "classifiers"))
    settings = await make_settings(classifiers_dir=tmp_path / "classifiers")
    async with await connect(settings, name="test") as bus:
        made = Yard(settings, bus, wait_until)
        yield made
        await made.stop()


async def put(yard: Yard, artifact: Artifact) -> SemanticRecord:
    return await put_in_force(yard.bus, artifact, record_of(artifact), ANNE)


async def semantic(yard: Yard) -> SemanticStatus:
    return (await yard.status()).semantic or SemanticStatus()


async def has_revision(yard: Yard, revision: int) -> bool:
    return (await semantic(yard)).revision == revision


async def serve(yard: Yard, adapters: Path, artifact: Artifact, wait_until: WaitUntil) -> SemanticRecord:
    """A dispatcher and a worker, with the classifier in force."""
    record = await put(yard, artifact)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)

    async def in_force() -> bool:
        return (await semantic(yard)).revision == record.revision

    await wait_until(in_force)
    return record


async def run(yard: Yard, *arguments: str, code: ExitCode = ExitCode.OK) -> None:
    """One command line."""
    where = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    assert await asyncio.to_thread(run_command, [*arguments, *where]) == code


async def maker(yard: Yard, job: str) -> Maker:
    result = await yard.result(job)
    assert result.maker is not None, result.error
    return result.maker


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command printed; the dispatcher, which runs in this process too, logs into the same."""
    printed = capsys.readouterr().out.splitlines()
    return cast("dict[str, Any]", json.loads(next(line for line in printed if line.startswith("{"))))
