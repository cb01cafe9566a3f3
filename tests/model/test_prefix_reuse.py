"""A row that begins like an earlier one does not compute that part again; never across adapters (C11, D5)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike

from lorayard_workers.engine.outcome import Failed, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]

PROMPT = "The same long beginning of every question, longer than two blocks. " * 3


def ask(
    request_id: str, adapter: str | None = None, prompt: str = PROMPT, **sampling: Any
) -> GenerationRequest:
    settings: dict[str, Any] = {"max_new_tokens": 12} | sampling
    return GenerationRequest(
        request_id=request_id, prompt=prompt, adapter=adapter, sampling=Sampling(**settings)
    )


def run(yard: Any, *requests: GenerationRequest) -> list[Succeeded]:
    """One after another."""
    outcomes = [yard.run(request)[request.request_id] for request in requests]
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes), outcomes
    return outcomes


def test_the_same_beginning_is_computed_once_and_the_answer_stays_the_same__c11(
    start_yard: StartYard,
) -> None:
    yard, plain = start_yard(), start_yard(prefix_reuse=False)
    requests = [ask("a"), ask("b"), ask("c", prompt=PROMPT + "But another end.")]
    found, wanted = run(yard, *requests), run(plain, *requests)
    assert [outcome.text for outcome in found] == [outcome.text for outcome in wanted]
    cached = found[0].prompt_tokens // 64 * 64
    assert cached >= 128
    assert [outcome.cached_tokens for outcome in found] == [0, cached, cached]
    assert [outcome.cached_tokens for outcome in wanted] == [0, 0, 0]
    residency = yard.engine.residency()
    assert (residency.prefix_hits, residency.prefix_tokens) == (2, 2 * cached)
    assert residency.kv_blocks_used == 0
    assert plain.engine.residency().prefix_hits == 0


def test_two_adapters_never_share_what_the_same_prompt_left__c6_c11(start_yard: StartYard) -> None:
    yard, plain = start_yard(), start_yard(prefix_reuse=False)
    first, second, *_ = yard.adapters
    requests = [ask(str(i), key) for i, key in enumerate((first, None, second, first, None, second))]
    found, wanted = run(yard, *requests), run(plain, *requests)
    assert [outcome.text for outcome in found] == [outcome.text for outcome in wanted]
    assert len({outcome.text for outcome in found}) == 3  # the adapters make a difference
    assert [outcome.cached_tokens > 0 for outcome in found] == [False] * 3 + [True] * 3


def test_a_hot_reload_leaves_no_stale_keys_and_values__d5(start_yard: StartYard, tmp_path: Path) -> None:
    """A new version has a new digest: what the old one computed is not for it, and stays for the old one."""
    yard = start_yard()
    old = yard.add(make_tiny_adapter(tmp_path / "v1", seed=61))
    run(yard, ask("a", old))
    new = yard.add(make_tiny_adapter(tmp_path / "v2", seed=62))
    found = run(yard, ask("b", new), ask("c", new), ask("d", old))
    assert [outcome.cached_tokens > 0 for outcome in found] == [False, True, True]
    plain = start_yard(prefix_reuse=False)
    plain.adapters.update(yard.adapters)
    wanted = run(plain, ask("b", new), ask("c", new), ask("d", old))
    assert [outcome.text for outcome in found] == [outcome.text for outcome in wanted]
    assert found[0].text != found[2].text


def test_a_row_that_fails_leaves_nothing_to_reuse__c6_g3(start_yard: StartYard, tmp_path: Path) -> None:
    yard = start_yard()
    folder = make_tiny_adapter(tmp_path / "huge", seed=50)
    path = folder / "adapter_model.safetensors"
    save_file({name: np.full_like(tensor, 1e30) for name, tensor in load_file(path).items()}, path)
    digest = yard.add(folder)
    for name in ("a", "b"):
        assert isinstance(yard.run(ask(name, digest))[name], Failed)
    assert yard.engine.residency().prefix_hits == 0
    assert yard.engine._core._room.blocks.pool.kept.resting == 0


@pytest.mark.parametrize("blocks", [8, 40])
def test_rows_that_share_a_beginning_answer_as_if_alone_bleed__c6_c11(
    start_yard: StartYard, blocks: int
) -> None:
    """Side by side, with adapters and ends mixed, in a small cache too: kept blocks go before rows wait."""
    yard = start_yard(kv_bytes=(blocks + 1) * 64 * 2048)
    plain = start_yard(prefix_reuse=False)
    keys = [None, *list(yard.adapters)[:3]]
    requests = [
        ask(f"{i}", keys[i % 4], prompt=PROMPT[: 100 + 20 * (i % 5)] + "x" * (i % 3)) for i in range(24)
    ]
    warm = yard.run(*requests)
    found, wanted = yard.run(*requests), plain.run(*requests)
    for outcomes in (warm, found):
        assert {k: v.text for k, v in outcomes.items()} == {k: v.text for k, v in wanted.items()}
    assert yard.engine.residency().prefix_hits > 0
