"""A batch over a real model: every line has the answer of the adapter that it names (E6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.bus.batches.conftest import Desk
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard_workers.tiny_model import make_tiny_adapter, make_tiny_model

pytestmark = [pytest.mark.bus, pytest.mark.model, pytest.mark.timeout(180)]

LINES = 24
PROMPT = "the quick brown fox"
ADAPTERS = ("acme/tiny/a", "acme/tiny/b", "acme/tiny/c")


def line(number: int) -> dict[str, Any]:
    body = {
        "model": (*ADAPTERS, "base")[number % 4],
        "prompt": f"{PROMPT} {number % 6}",
        "max_tokens": 12,
        "temperature": 0,
        "logprobs": 1,
    }
    return {"custom_id": f"id-{number}", "method": "POST", "url": "/v1/completions", "body": body}


@pytest.fixture
async def served(yard: Yard, tmp_path: Path) -> None:
    """Two workers with a model that is exact enough to compare texts."""
    model = make_tiny_model(tmp_path / "model")
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(tmp_path / "adapters" / name / "1", seed=seed)
    await yard.dispatcher()
    for worker in ("w1", "w2"):
        await yard.worker(
            worker,
            engine="packed",
            model=str(model),
            adapters_dir=tmp_path / "adapters",
            dtype="fp32",
            device="cpu",
            slots=2,
            rows=4,
            threads=1,
        )


async def test_a_batch_answers_as_the_client_does__e6(served: None, desk: Desk, client: Client) -> None:
    lines = [line(number) for number in range(LINES)]
    desk.write(json.dumps(each).encode() + b"\n" for each in lines)
    manifest = await desk.run()
    answers = {answer["custom_id"]: answer["response"]["body"] for answer in desk.outputs}
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
    assert {name.partition("@")[0] for name in manifest.adapters} == {*ADAPTERS, "base"}
