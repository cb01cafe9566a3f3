"""A batch over a real model: every line has the answer of the adapter that it names (E6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lorayard import Client
from lorayard.batch import BatchOptions, BatchRunner, batch_files, open_batch
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS
from lorayard_cli.embedded.yard import EmbeddedYard

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LINES = 24
PROMPT = "the quick brown fox"


def line(number: int) -> dict[str, Any]:
    model = (*TINY_ADAPTERS, "base")[number % 4]
    body = {
        "model": model,
        "prompt": f"{PROMPT} {number % 6}",
        "max_tokens": 12,
        "temperature": 0,
        "logprobs": 1,
    }
    return {"custom_id": f"id-{number}", "method": "POST", "url": "/v1/completions", "body": body}


async def test_a_batch_answers_as_the_client_does__e6(tiny_plan: YardPlan, tmp_path: Path) -> None:
    lines = [line(number) for number in range(LINES)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    files = batch_files(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    async with EmbeddedYard(tiny_plan) as yard, Client(settings=yard.settings) as client:
        batch = open_batch(files, BatchOptions(), tenant="default")
        manifest = await BatchRunner(client, batch).run()
        answers = {
            answer["custom_id"]: answer["response"]["body"]
            for answer in map(json.loads, files.output.read_text().splitlines())
        }
        for asked in lines:
            body, answer = asked["body"], answers[asked["custom_id"]]
            alone = await client.generate(
                body["prompt"], adapter=body["model"], max_new_tokens=12, logprobs=1, temperature=0.0
            )
            (choice,) = answer["choices"]
            assert choice["text"] == alone.text
            assert answer["model"].partition("@")[0] == body["model"]
            assert answer["usage"]["completion_tokens"] == alone.usage.completion_tokens
            assert len(choice["logprobs"]["tokens"]) == alone.usage.completion_tokens
    assert (manifest.counts.answered, manifest.counts.failed) == (LINES, 0)
    assert {name.partition("@")[0] for name in manifest.adapters} == {*TINY_ADAPTERS, "base"}
