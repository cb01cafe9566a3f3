"""What is wrong fails alone, with a reason: requests, adapters, steps, sinks, models (G3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike
from structlog.testing import capture_logs
from tests.model.conftest import ask, failure_of, text_of

from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.outcome import Failed, FailureKind, Outcome
from lorayard_workers.engine.packed import MAX_FAILURES, PackedEngine
from lorayard_workers.errors import BaseModelMissingError, BaseModelUnsupportedError
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"prompt": ""}, "empty_prompt", "prompt"),  # nothing to continue
        ({"prompt": ()}, "empty_prompt", "prompt"),  # a conversation without turns
        ({"prompt": "x" * 300}, "prompt_too_long", "prompt"),  # 256 fit
        ({"prompt": "x" * 1_000_000}, "prompt_too_long", "prompt"),  # not even tokenized
        ({"prompt": "a \ud800"}, "bad_prompt", "prompt"),  # half of a pair: no text
        ({"deadline": float("nan")}, "bad_deadline", "deadline"),
        ({"adapter": "sha256:0"}, "unknown_adapter", "adapter"),
        ({"max_new_tokens": 0}, "bad_sampling", "sampling.max_new_tokens"),
        ({"temperature": -1.0}, "bad_sampling", "sampling.temperature"),
        ({"temperature": 1e39}, "bad_sampling", "sampling.temperature"),  # over a float of 32 bits
        ({"temperature": float("nan")}, "bad_sampling", "sampling.temperature"),
        ({"top_p": 0.0}, "bad_sampling", "sampling.top_p"),
        ({"top_k": -1}, "bad_sampling", "sampling.top_k"),
        ({"stop": ("x" * 1025,)}, "bad_sampling", "sampling.stop"),
        ({"stop": ("",)}, "bad_sampling", "sampling.stop"),
    ],
)
def test_a_bad_request_fails_for_good_naming_the_field__g3(
    start_yard: StartYard, changes: dict[str, Any], code: str, field: str
) -> None:
    found = start_yard().run(ask("bad", **changes), ask("good"))
    assert failure_of(found["bad"]) == (FailureKind.PERMANENT, code, field)
    assert text_of(found["good"])


def test_a_prompt_with_a_token_that_the_model_does_not_know_is_refused_alone__g3(
    start_yard: StartYard,
) -> None:
    yard = start_yard()
    known = len(yard.engine._base.model.get_input_embeddings().weight)
    yard.engine._base.tokenizer.add_tokens(["<image>"], special_tokens=True)  # without room in the model
    found = yard.run(ask("good"), ask("bad", prompt="what is <image>?"), ask("also good"))
    assert failure_of(found["bad"]) == (FailureKind.PERMANENT, "bad_prompt_token", "prompt")
    assert isinstance(found["bad"], Failed)
    assert f"token {known} ('<image>')" in found["bad"].message
    assert text_of(found["good"])
    assert text_of(found["also good"])


def test_prompt_too_long_names_both_numbers_and_the_setting__g3(start_yard: StartYard) -> None:
    outcome = start_yard().run(ask("a", prompt="x" * 300))["a"]
    assert isinstance(outcome, Failed)
    assert "300" in outcome.message
    assert "256" in outcome.message
    assert "LORAYARD_CONTEXT_TOKENS" in outcome.message


def test_an_adapter_that_breaks_after_registration_fails_only_its_requests__g3_g5(
    start_yard: StartYard, tmp_path: Path
) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=50))
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"\x00" * 40)
    good = next(iter(yard.adapters))
    found = yard.run(ask("bad", adapter=digest), ask("good", adapter=good))
    assert failure_of(found["bad"]) == (FailureKind.PERMANENT, "adapter_refused", "adapter")
    assert text_of(found["good"])


def test_an_adapter_whose_content_changed_is_refused_by_its_digest__g5(
    start_yard: StartYard, tmp_path: Path
) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=50))
    make_tiny_adapter(tmp_path / "a", seed=51)
    outcome = yard.run(ask("a", adapter=digest))["a"]
    assert failure_of(outcome) == (FailureKind.PERMANENT, "adapter_refused", "adapter")


def test_a_rank_over_the_limit_is_refused_with_the_numbers__b11(
    start_yard: StartYard, tmp_path: Path
) -> None:
    yard = start_yard(max_rank=16)
    digest = yard.add(make_tiny_adapter(tmp_path / "a", seed=50, rank=24))
    outcome = yard.run(ask("a", adapter=digest))["a"]
    assert isinstance(outcome, Failed)
    assert outcome.code == "adapter_too_large"
    assert "24" in outcome.message
    assert "16" in outcome.message


def test_an_overflowing_adapter_fails_its_row_and_leaves_later_ones_alone__c6_g3(
    start_yard: StartYard, tmp_path: Path
) -> None:
    yard = start_yard(rows=2)
    wanted = text_of(yard.run(ask("a"))["a"])
    folder = make_tiny_adapter(tmp_path / "huge", seed=50)
    path = folder / "adapter_model.safetensors"
    tensors = {name: np.full_like(tensor, 1e30) for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    digest = yard.add(folder)
    long = "x" * 100  # the next row in its place leaves part of what it wrote untouched
    found = yard.run(ask("huge", adapter=digest, prompt=long), ask("beside"))
    assert failure_of(found["huge"]) == (FailureKind.PERMANENT, "non_finite_logits", "adapter")
    later = yard.run(ask("b"), ask("c"))  # one of them lies where it lay
    assert [text_of(outcome) for outcome in (found["beside"], *later.values())] == [wanted] * 3


def test_an_exception_in_a_step_fails_its_rows_and_the_engine_goes_on__g3(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard()
    adapter = next(iter(yard.adapters))
    wanted = text_of(yard.run(ask("a", adapter=adapter))["a"])
    with monkeypatch.context() as broken:

        def explode(*_: object) -> None:
            raise RuntimeError("out of memory, say")

        broken.setattr("lorayard_workers.engine.groups.LoraGroup.compute", explode)
        with capture_logs() as logs:
            found = yard.run(ask("b", adapter=adapter), ask("c"))
    for outcome in found.values():
        assert failure_of(outcome) == (FailureKind.RETRYABLE, "engine_error", None)
    assert any(log["event"] == "engine_step_failed" and log["exc_info"] for log in logs)
    assert text_of(yard.run(ask("d", adapter=adapter))["d"]) == wanted
    assert yard.engine.alive()


@pytest.mark.parametrize("broken", ["groups.LoraGroup.compute", "groups.LoraGroup.write"])
def test_an_engine_that_only_fails_is_dead__g3(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A device error that stays fails each job at once: alive, the worker would eat the whole queue."""
    yard = start_yard()

    def explode(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def fail(times: int) -> None:
        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(f"lorayard_workers.engine.{broken}", explode)
            for _ in range(times):
                outcome = yard.run(ask("a", adapter=next(iter(yard.adapters))))["a"]
                assert failure_of(outcome) == (FailureKind.RETRYABLE, "engine_error", None)

    fail(MAX_FAILURES - 1)
    assert yard.engine.alive()
    assert text_of(yard.run(ask("b"))["b"])  # a success between them: it was not the device
    fail(MAX_FAILURES - 1)
    assert yard.engine.alive()
    fail(1)
    assert not yard.engine.alive()


def test_a_sink_that_raises_harms_no_other_request__g3(start_yard: StartYard) -> None:
    yard = start_yard()

    def broken(_: Outcome) -> None:
        raise RuntimeError("the caller's fault")

    with capture_logs() as logs:
        yard.engine.submit(ask("a"), broken)
        assert text_of(yard.run(ask("b"))["b"])
    assert [log["request_id"] for log in logs if log["event"] == "sink_failed"] == ["a"]


@pytest.mark.parametrize("missing", ["folder", "config.json", "model.safetensors"])
def test_a_missing_base_model_names_the_path_and_what_to_do__g3(
    tmp_path: Path, tiny_model: Path, missing: str
) -> None:
    folder = tmp_path / "model"
    if missing != "folder":
        folder.mkdir()
        for file in tiny_model.iterdir():
            if file.name != missing:
                (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BaseModelMissingError, match="save_pretrained") as caught:
        load_base_model(folder)
    assert caught.value.path == folder


def test_too_little_memory_for_any_context_refuses_to_start(tiny_model: Path) -> None:
    from lorayard_workers.engine.config import EngineConfig

    with pytest.raises(BaseModelUnsupportedError, match="LORAYARD_KV_BYTES 1000"):
        PackedEngine(tiny_model, {}, EngineConfig(kv_bytes=1000))
