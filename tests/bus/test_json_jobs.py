"""Jobs with a JSON schema, log-probabilities and other sampling options, over a real bus (C12, G3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from jsonschema import Draft202012Validator

from lorayard import Client, JobFailedError
from lorayard_schemas.result import ErrorKind
from lorayard_shared.settings import YardSettings
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.tiny_model import make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.model]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]{1,8}$"},
        "count": {"type": "integer", "maximum": 9},
    },
    "required": ["name", "count"],
    "additionalProperties": False,
}


class Yard(Protocol):
    """What the fixture of that name offers these tests."""

    settings: YardSettings

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", *, engine: Engine | None = None, **given: object) -> object: ...


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def client(yard: Yard, tiny_model: Path) -> AsyncIterator[Client]:
    """Of a yard with one worker that runs the tiny model."""
    config = EngineConfig(
        slots=1, max_rank=8, rows=4, context_tokens=512, precision=Precision.FP32, device="cpu", threads=1
    )
    await yard.dispatcher()
    await yard.worker(engine=PackedEngine(tiny_model, {}, config))
    async with Client(settings=yard.settings) as client:
        yield client


async def test_the_answer_is_a_document_that_fits_the_schema__c12(client: Client) -> None:
    result = await client.generate(
        "A pet: ", json_schema=SCHEMA, temperature=2.0, seed=3, logprobs=2, min_p=0.001
    )
    assert result.finish_reason == "stop"
    Draft202012Validator(SCHEMA).validate(json.loads(result.text))
    assert result.logprobs is not None
    assert len(result.logprobs) == result.usage.completion_tokens
    assert "".join(token.text for token in result.logprobs) == result.text
    assert {len(token.alternatives) for token in result.logprobs} == {2}


async def test_every_option_reaches_the_engine__c12(client: Client) -> None:
    """The tiny model's token 65 is a character; biased as far as it goes, nothing else is written."""
    biased = await client.generate("x", logit_bias={65: 100.0}, max_new_tokens=3)
    assert len(set(biased.text)) == 1
    assert (biased.usage.completion_tokens, biased.finish_reason) == (3, "length")
    stopped = await client.generate(
        "x", logit_bias={"65": 100.0}, stop_token_ids=[65], min_new_tokens=2, max_new_tokens=9
    )
    assert (stopped.usage.completion_tokens, stopped.finish_reason) == (3, "stop")
    repeated = await client.generate("x", logit_bias={65: 100.0}, presence_penalty=2.0, frequency_penalty=2.0)
    assert repeated.text.startswith(biased.text[0])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"json_schema": "{"}, "sampling.json_schema"),
        ({"json_schema": {"not": {"type": "string"}}}, "sampling.json_schema"),
        ({"logit_bias": {511_000: 1.0}}, "sampling.logit_bias"),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "sampling.min_new_tokens"),
    ],
    ids=repr,
)
async def test_what_the_model_cannot_do_is_answered_by_name__g3(
    client: Client, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(JobFailedError) as caught:
        await client.generate("x", **options)
    error = caught.value.result.error
    assert error is not None
    assert (error.kind, error.field) == (ErrorKind.PERMANENT, field)
    assert field in error.message
