"""The packed engine from outside: one outcome for each request, whatever it asks for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from tests.model.conftest import AfterSteps, ask, text_of

from lorayard_workers.engine.outcome import Cancelled, DeadlinePassed, FinishReason, Outcome, Succeeded, Tier
from lorayard_workers.engine.prepare import Preparation
from lorayard_workers.engine.request import ChatMessage
from lorayard_workers.tiny_model import make_tiny_adapter

StartYard = Callable[..., Any]


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
