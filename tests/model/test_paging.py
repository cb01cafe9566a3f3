"""Rows in a cache of blocks: more than fit, longer than a share, and pushed out on the way (C11)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from torch import Tensor

from lorayard_workers.engine.outcome import Cancelled, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.engine.runner import ModelRunner, Piece

StartYard = Callable[..., Any]

BLOCK_BYTES = 64 * 2048
"""The tiny model in fp32: 4 layers, 2 kv heads of width 32, keys and values."""


def kv_bytes(blocks: int) -> int:
    return (blocks + 1) * BLOCK_BYTES  # one stays blank


def ask(request_id: str, prompt: str, adapter: str | None, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(
        request_id=request_id, prompt=prompt, adapter=adapter, sampling=Sampling(**sampling)
    )


def random_requests(seed: int, adapters: list[str], count: int) -> list[GenerationRequest]:
    draw = random.Random(seed)
    return [
        ask(
            str(i),
            f"{draw.random()} " * draw.randint(1, 6),
            draw.choice([None, *adapters]),
            max_new_tokens=draw.choice([1, 90, 180]),
            temperature=draw.choice([0.0, 1.0]),
            seed=i,
        )
        for i in range(count)
    ]


def what(outcome: Any) -> tuple[Any, ...]:
    """All of an outcome that does not tell the time."""
    assert isinstance(outcome, Succeeded), outcome
    return outcome.text, outcome.finish_reason, outcome.prompt_tokens, outcome.completion_tokens


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_are_pushed_out_end_as_if_nothing_had_happened__c6_c11(
    start_yard: StartYard, seed: int
) -> None:
    """Four rows of up to four blocks in a cache of five: texts, seeds and usage stay what they were."""
    yard = start_yard(kv_bytes=kv_bytes(5), slots=3, rows=4)
    requests = random_requests(seed, list(yard.adapters), 12)
    crowded = yard.run(*requests)
    roomy = start_yard().run(*requests)
    assert {k: what(v) for k, v in crowded.items()} == {k: what(v) for k, v in roomy.items()}
    residency = yard.engine.residency()
    assert residency.preemptions > 0
    assert (residency.kv_blocks, residency.kv_blocks_used) == (5, 0)


def test_one_row_may_have_the_whole_cache__c11(start_yard: StartYard) -> None:
    yard = start_yard(kv_bytes=kv_bytes(4), rows=8, context_tokens=None)
    assert yard.engine.context_tokens == 256
    outcome = yard.run(ask("long", "x" * 200, None, max_new_tokens=400))["long"]
    assert what(outcome)[2:] == (200, 56)


def test_a_prompt_that_can_never_fit_fails_with_the_numbers__c11_g3(start_yard: StartYard) -> None:
    yard = start_yard(kv_bytes=kv_bytes(2), context_tokens=None)
    found = yard.run(ask("bad", "x" * 130, None), ask("good", "x" * 100, None, max_new_tokens=2))
    assert found["bad"].code == "prompt_too_long"
    for part in ("130", "128", f"LORAYARD_KV_BYTES {kv_bytes(2)}"):
        assert part in found["bad"].message
    assert what(found["good"])


def test_rows_that_wait_again_can_be_cancelled__c12(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows of three blocks in a cache of four: one of them must wait again."""
    yard = start_yard(kv_bytes=kv_bytes(4), rows=2)
    core = yard.engine._core
    forward = ModelRunner.forward

    def cancel_who_waits(self: ModelRunner, pieces: Sequence[Piece]) -> Tensor:
        for row in core.preempted:
            yard.engine.cancel(row.request.request_id)
        return forward(self, pieces)

    monkeypatch.setattr(ModelRunner, "forward", cancel_who_waits)
    found = yard.run(*(ask(str(i), "x" * 40, None, max_new_tokens=150) for i in range(2)))
    assert what(found["0"])
    assert found["1"] == Cancelled(request_id="1")
