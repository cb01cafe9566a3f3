"""The packed engine from outside: one outcome for each request, whatever it asks for."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file  # pyright: ignore[reportUnknownVariableType]  # os.PathLike
from structlog.testing import capture_logs
from torch import Tensor

from lorayard_workers.base_model import load_base_model
from lorayard_workers.engine.packed import MAX_FAILURES, PackedEngine
from lorayard_workers.engine.prepare import Preparation
from lorayard_workers.engine.protocol import (
    Cancelled,
    ChatMessage,
    DeadlinePassed,
    Failed,
    FailureKind,
    FinishReason,
    GenerationRequest,
    Outcome,
    Sampling,
    Succeeded,
    Tier,
)
from lorayard_workers.engine.runner import ModelRunner, Piece
from lorayard_workers.errors import BaseModelMissingError, BaseModelUnsupportedError
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]


def ask(
    request_id: str,
    *,
    prompt: str | tuple[ChatMessage, ...] = "Hello there",
    adapter: str | None = None,
    deadline: float | None = None,
    **sampling: Any,
) -> GenerationRequest:
    settings: dict[str, Any] = {"max_new_tokens": 8} | sampling
    return GenerationRequest(
        request_id=request_id,
        prompt=prompt,
        adapter=adapter,
        deadline=deadline,
        sampling=Sampling(**settings),
    )


def text_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.text


def failure_of(outcome: Outcome) -> tuple[FailureKind, str, str | None]:
    assert isinstance(outcome, Failed), outcome
    return outcome.kind, outcome.code, outcome.field


def test_a_row_in_a_mixed_batch_answers_as_if_alone__c5_c6(start_yard: StartYard) -> None:
    yard = start_yard()
    keys = [None, *yard.adapters, None]
    requests = [ask(str(i), prompt=f"Row {i}: " + "abc " * i, adapter=key) for i, key in enumerate(keys)]
    together = yard.run(*requests)
    for request in requests:
        alone = yard.run(request)[request.request_id]
        assert text_of(together[request.request_id]) == text_of(alone)


def test_more_adapters_than_slots_are_all_served_and_evicted__c1_c3(start_yard: StartYard) -> None:
    yard = start_yard(slots=2, rows=3)
    requests = [ask(f"{turn}-{i}", adapter=key) for turn in range(3) for i, key in enumerate(yard.adapters)]
    crowded = yard.run(*requests)
    roomy = start_yard(slots=8).run(*requests)
    assert {k: text_of(v) for k, v in crowded.items()} == {k: text_of(v) for k, v in roomy.items()}
    residency = yard.engine.residency()
    assert residency.evictions >= len(yard.adapters) - 2
    assert len(residency.slots) == 2
    assert all(slot.rows == 0 for slot in residency.slots)
    assert residency.disk_loads == len(yard.adapters)  # the host tier kept them


def test_the_outcome_says_in_which_tier_the_adapter_was_found(start_yard: StartYard) -> None:
    yard = start_yard(slots=1)
    first, second, *_ = yard.adapters

    def tier(adapter: str | None) -> Tier:
        outcome = yard.run(ask("a", adapter=adapter))["a"]
        assert isinstance(outcome, Succeeded)
        return outcome.tier

    assert [tier(a) for a in (None, first, first, second, first)] == [
        Tier.NONE,
        Tier.DISK,
        Tier.SLOT,
        Tier.DISK,
        Tier.HOST,
    ]


def test_only_a_row_that_waited_for_no_load_is_a_slot_hit(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a load that sixteen rows wait for would look like fifteen hits."""
    all_submitted = threading.Event()
    prepare = Preparation.prepare

    def prepare_late(*given: Any) -> None:
        assert all_submitted.wait(30)
        prepare(*given)

    monkeypatch.setattr(Preparation, "prepare", prepare_late)
    yard = start_yard()
    adapter = next(iter(yard.adapters))
    outcomes = SimpleQueue[Outcome]()
    for i in range(3):
        yard.engine.submit(ask(str(i), adapter=adapter), outcomes.put)
    all_submitted.set()
    assert tiers_of(outcomes.get(timeout=30) for _ in range(3)) == {Tier.DISK: 3}
    residency = yard.engine.residency()
    assert (residency.slot_hits, residency.slot_loads) == (0, 1)


def test_outcomes_and_counters_agree_about_slot_hits(start_yard: StartYard) -> None:
    yard = start_yard(slots=2, rows=3)
    crowd = [ask(f"{i}", adapter=key) for i, key in enumerate([*yard.adapters] * 6)]
    tiers = tiers_of(yard.run(*crowd).values())
    assert tiers[Tier.SLOT] == yard.engine.residency().slot_hits
    assert tiers[Tier.NONE] == 0


def tiers_of(outcomes: Iterable[Outcome]) -> Counter[Tier]:
    return Counter(outcome.tier for outcome in outcomes if isinstance(outcome, Succeeded))


def test_an_adapter_registered_at_run_time_is_served__c1(start_yard: StartYard, tmp_path: Path) -> None:
    yard = start_yard()
    digest = yard.add(make_tiny_adapter(tmp_path / "new", seed=99))
    assert text_of(yard.run(ask("a", adapter=digest))["a"]) != text_of(yard.run(ask("b"))["b"])


def test_a_waiting_adapter_is_not_starved_by_busy_slots__b9(start_yard: StartYard) -> None:
    """Slots are kept busy without a gap; past the age bound one drains for the waiting adapter."""
    yard = start_yard(slots=1, rows=2, ageing_seconds=0.0)
    busy, wanted, *_ = yard.adapters
    served = threading.Event()
    ended = threading.Semaphore(0)

    def keep_busy(outcome: Outcome) -> None:
        if served.is_set():
            ended.release()
        else:
            yard.engine.submit(ask(outcome.request_id, adapter=busy, max_new_tokens=20), keep_busy)

    for i in range(4):
        yard.engine.submit(ask(f"busy-{i}", adapter=busy, max_new_tokens=20), keep_busy)
    outcomes: list[Outcome] = []

    def serve(outcome: Outcome) -> None:
        outcomes.append(outcome)
        served.set()

    yard.engine.submit(ask("wanted", adapter=wanted), serve)
    assert served.wait(30)
    assert text_of(outcomes[0])
    for _ in range(4):
        assert ended.acquire(timeout=30)


def test_the_same_seed_gives_the_same_text_alone_and_in_company__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    sampled: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 24}
    alone = text_of(yard.run(ask("a", seed=7, **sampled))["a"])
    crowd = yard.run(*(ask(str(seed), seed=seed, **sampled) for seed in range(8)))
    assert text_of(crowd["7"]) == alone
    assert len({text_of(outcome) for outcome in crowd.values()}) == 8


def test_top_k_of_one_is_greedy__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    found = yard.run(ask("greedy"), ask("sampled", temperature=2.0, top_k=1, seed=1))
    assert text_of(found["greedy"]) == text_of(found["sampled"])


def test_a_stop_string_across_token_borders_ends_and_cuts_the_text__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    whole = text_of(yard.run(ask("a", max_new_tokens=24))["a"])
    stop = whole[5:9]  # tokens of the tiny model are one to three characters
    outcome = yard.run(ask("b", max_new_tokens=24, stop=("not in it", stop)))["b"]
    assert isinstance(outcome, Succeeded)
    assert outcome.text == whole[: whole.index(stop)]
    assert outcome.finish_reason is FinishReason.STOP
    assert outcome.completion_tokens < 24


def test_max_new_tokens_and_the_context_end_a_row_by_length__c12(start_yard: StartYard) -> None:
    yard = start_yard(context_tokens=32)
    outcome = yard.run(ask("a", prompt="x" * 20, max_new_tokens=100))["a"]
    assert isinstance(outcome, Succeeded)
    assert outcome.finish_reason is FinishReason.LENGTH
    assert outcome.prompt_tokens + outcome.completion_tokens == 32


def test_a_long_prompt_in_chunks_answers_like_one_in_a_single_step__c11(start_yard: StartYard) -> None:
    request = ask("a", prompt="All work and no play. " * 8)
    whole = start_yard(prefill_tokens=512).run(request)
    chunked = start_yard(prefill_tokens=10).run(request, ask("b", prompt="meanwhile " * 5))
    assert text_of(whole["a"]) == text_of(chunked["a"])


AfterSteps = Callable[[int, Callable[[], None]], None]


@pytest.fixture
def after_steps(monkeypatch: pytest.MonkeyPatch) -> AfterSteps:
    """Does something on the engine thread after so many steps: no race with the rows' own end."""
    forward = ModelRunner.forward

    def arrange(steps: int, action: Callable[[], None]) -> None:
        taken = itertools.count(1)

        def counted(self: ModelRunner, pieces: Sequence[Piece]) -> Tensor:
            logits = forward(self, pieces)
            if next(taken) == steps:
                action()
            return logits

        monkeypatch.setattr(ModelRunner, "forward", counted)

    return arrange


def test_cancelled_rows_end_and_free_their_slot__c12(start_yard: StartYard, after_steps: AfterSteps) -> None:
    yard = start_yard(rows=1)
    adapter = next(iter(yard.adapters))

    def cancel() -> None:
        for request_id in ("waiting", "running", "nobody"):
            yard.engine.cancel(request_id)

    after_steps(3, cancel)
    found = yard.run(ask("running", adapter=adapter), ask("waiting", adapter=adapter))
    assert found == {name: Cancelled(request_id=name) for name in ("running", "waiting")}
    assert text_of(yard.run(ask("next", adapter=adapter))["next"])


def test_a_passed_deadline_ends_a_request_before_and_while_it_runs__c12(
    start_yard: StartYard, after_steps: AfterSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = start_yard()
    now = time.time()
    after_steps(3, lambda: monkeypatch.setattr(time, "time", lambda: now + 60))
    found = yard.run(
        ask("past", deadline=now - 1), ask("soon", deadline=now + 50), ask("fine", deadline=now + 3600)
    )
    assert found["past"] == DeadlinePassed(request_id="past")
    assert found["soon"] == DeadlinePassed(request_id="soon")
    assert text_of(found["fine"])


def test_a_conversation_without_a_chat_template_is_joined_plainly(start_yard: StartYard) -> None:
    yard = start_yard()
    turns = (ChatMessage(role="user", content="Hi"),)
    found = yard.run(ask("chat", prompt=turns), ask("plain", prompt="user: Hi\n\nassistant:"))
    assert text_of(found["chat"]) == text_of(found["plain"])


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"prompt": ""}, "empty_prompt", "prompt"),  # nothing to continue
        ({"prompt": ()}, "empty_prompt", "prompt"),  # a conversation without turns
        ({"prompt": "x" * 300}, "prompt_too_long", "prompt"),  # 256 fit
        ({"adapter": "sha256:0"}, "unknown_adapter", "adapter"),
        ({"max_new_tokens": 0}, "bad_sampling", "sampling.max_new_tokens"),
        ({"temperature": -1.0}, "bad_sampling", "sampling.temperature"),
        ({"temperature": float("nan")}, "bad_sampling", "sampling.temperature"),
        ({"top_p": 0.0}, "bad_sampling", "sampling.top_p"),
        ({"top_k": -1}, "bad_sampling", "sampling.top_k"),
        ({"stop": ("",)}, "bad_sampling", "sampling.stop"),
    ],
)
def test_a_bad_request_fails_for_good_naming_the_field__g3(
    start_yard: StartYard, changes: dict[str, Any], code: str, field: str
) -> None:
    found = start_yard().run(ask("bad", **changes), ask("good"))
    assert failure_of(found["bad"]) == (FailureKind.PERMANENT, code, field)
    assert text_of(found["good"])


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


def test_prefetch_brings_an_adapter_to_the_host_tier__c4(start_yard: StartYard) -> None:
    yard = start_yard()
    adapter = next(iter(yard.adapters))
    yard.engine.prefetch(adapter)
    yard.engine.prefetch("sha256:unknown")  # only the log hears of it
    while adapter not in yard.engine.residency().host:
        yard.run(ask("tick", max_new_tokens=1))
    outcome = yard.run(ask("a", adapter=adapter))["a"]
    assert isinstance(outcome, Succeeded)
    assert outcome.tier is Tier.HOST


def test_a_full_host_tier_evicts_and_still_serves_all__c2(start_yard: StartYard) -> None:
    yard = start_yard(slots=2, host_bytes=1_300_000)  # two or three of the eight
    found = yard.run(*(ask(key, adapter=key) for key in yard.adapters))
    assert all(text_of(outcome) for outcome in found.values())
    assert yard.engine.residency().host_bytes <= 1_300_000


def test_stop_ends_both_threads(start_yard: StartYard) -> None:
    yard = start_yard()
    assert yard.engine.alive()
    yard.engine.stop()
    assert not yard.engine.alive()


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
