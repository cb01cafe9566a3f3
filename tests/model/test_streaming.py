"""Tokens as they come (C12): chunks add up to the text, and a bad callback harms nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from lorayard_workers.engine import token_feed
from lorayard_workers.engine.outcome import Cancelled, Outcome, Succeeded, TokenChunk
from lorayard_workers.engine.request import GenerationRequest, Sampling

StartYard = Callable[..., Any]


def ask(request_id: str, *, adapter: str | None = None, **sampling: Any) -> GenerationRequest:
    given: dict[str, Any] = {"max_new_tokens": 24} | sampling
    settings = Sampling(**given)
    return GenerationRequest(request_id=request_id, prompt="Hello", adapter=adapter, sampling=settings)


def done(outcome: Outcome) -> Succeeded:
    assert isinstance(outcome, Succeeded), outcome
    return outcome


def test_rows_of_many_adapters_stream_exactly_their_texts__c12(start_yard: StartYard) -> None:
    """At temperature 2 the tiny model writes bytes of all kinds, half characters among them."""
    yard = start_yard()
    keys = [None, *yard.adapters]
    requests = [
        ask(str(i), adapter=key, temperature=2.0, seed=i, logprobs=1, max_new_tokens=60)
        for i, key in enumerate(keys)
    ]
    plain = yard.run(*requests)
    streamed, chunks = yard.stream(*requests)
    for request in requests:
        outcome, mine = done(streamed[request.request_id]), chunks[request.request_id]
        assert "".join(chunk.text for chunk in mine) == outcome.text == done(plain[request.request_id]).text
        assert [chunk.index for chunk in mine] == list(range(len(mine)))
        logprobs = [each for chunk in mine for each in chunk.logprobs or ()]
        assert tuple(logprobs) == outcome.logprobs
        assert [each.token_id for each in logprobs] == [i for chunk in mine for i in chunk.token_ids]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_nothing_of_a_stop_string_is_ever_given_out__c12(start_yard: StartYard, length: int) -> None:
    yard = start_yard()
    text = done(yard.run(ask("a"))["a"]).text
    stop = text[5 : 5 + length]
    streamed, chunks = yard.stream(ask("a", stop=(stop, text[4] + "never")))
    outcome = done(streamed["a"])
    assert "".join(chunk.text for chunk in chunks["a"]) == outcome.text == text[: text.index(stop)]


def test_each_step_gives_one_chunk_of_one_token(start_yard: StartYard) -> None:
    _, chunks = start_yard().stream(ask("a", ignore_eos=True))
    assert [len(chunk.token_ids) for chunk in chunks["a"]] == [1] * 24


def test_chunks_that_may_come_seldom_are_few_and_add_up_to_the_same_text__c12(start_yard: StartYard) -> None:
    """The first at once, the last with all that is left: an hour between two means no other."""
    yard = start_yard()
    requests = [ask(str(i), temperature=2.0, seed=i, max_new_tokens=60, ignore_eos=True) for i in range(4)]
    plain = yard.run(*requests)
    found, chunks = yard.stream(*(replace(request, chunk_seconds=3600.0) for request in requests))
    for request in requests:
        mine, text = chunks[request.request_id], done(plain[request.request_id]).text
        assert "".join(chunk.text for chunk in mine) == done(found[request.request_id]).text == text
        assert [len(chunk.token_ids) for chunk in mine] == [1, 59]


def test_a_prompt_that_takes_several_steps_tells_how_far_it_is__e4(start_yard: StartYard) -> None:
    request = replace(ask("a", max_new_tokens=2, ignore_eos=True), prompt="a long story " * 5)
    _, chunks = start_yard(prefill_tokens=16).stream(request)
    told = [(chunk.prompt_done, chunk.prompt_tokens) for chunk in chunks["a"] if not chunk.token_ids]
    assert len(told) > 1
    assert [done for done, _ in told] == [16 * (at + 1) for at in range(len(told))]
    assert {tokens for _, tokens in told} == {tokens for _, tokens in told if tokens > told[-1][0]}
    assert [chunk.index for chunk in chunks["a"]] == list(range(len(told) + 2))


def test_a_callback_that_raises_is_named_and_its_row_goes_on_without_it__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    seen: list[TokenChunk] = []

    def bad(chunk: TokenChunk) -> None:
        seen.append(chunk)
        raise ValueError("my fault")

    with capture_logs() as logs:
        found = yard.run(ask("bad"), ask("good"), on_tokens={"bad": bad})
    assert done(found["bad"]).text == done(found["good"]).text
    assert len(seen) == 1
    (log,) = [entry for entry in logs if entry["event"] == "token_callback_failed"]
    assert log["request_id"] == "bad"


def test_a_callback_that_takes_too_long_is_named_and_dropped__c12(
    start_yard: StartYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_feed, "PATIENCE_SECONDS", 0.0)
    seen: list[TokenChunk] = []
    with capture_logs() as logs:
        found = start_yard().run(ask("slow"), ask("good"), on_tokens={"slow": seen.append})
    assert done(found["slow"]).text == done(found["good"]).text
    assert len(seen) == 1
    (log,) = [entry for entry in logs if entry["event"] == "token_callback_too_slow"]
    assert log["request_id"] == "slow"


def test_a_row_cancelled_by_its_own_callback_gives_no_more__c12(start_yard: StartYard) -> None:
    yard = start_yard()
    seen: list[TokenChunk] = []

    def cancel(chunk: TokenChunk) -> None:
        seen.append(chunk)
        yard.engine.cancel("a")

    found = yard.run(ask("a"), on_tokens={"a": cancel})
    assert found == {"a": Cancelled(request_id="a")}
    assert len(seen) == 1


def test_a_row_cancelled_by_a_neighbours_callback_gives_no_more_in_that_step__c12(
    start_yard: StartYard,
) -> None:
    yard = start_yard()
    cancelled: list[str] = []
    late: list[TokenChunk] = []

    def cancel(chunk: TokenChunk) -> None:
        yard.engine.cancel("second")
        cancelled.append("second")

    def note(chunk: TokenChunk) -> None:
        if cancelled:
            late.append(chunk)

    found = yard.run(ask("first"), ask("second"), on_tokens={"first": cancel, "second": note})
    assert found["second"] == Cancelled(request_id="second")
    assert not late


def test_rows_that_are_pushed_out_of_the_cache_keep_their_stream_and_their_draws__c11_c12(
    start_yard: StartYard,
) -> None:
    """A row that is computed again goes on with its sampler, its grammar and its chunks."""
    options: list[dict[str, Any]] = [
        {"temperature": 1.5, "repetition_penalty": 1.2, "frequency_penalty": 0.3},
        {"temperature": 2.0, "min_p": 0.01, "logprobs": 2},
        {"temperature": 2.0, "json_schema": '{"type": "array", "items": {"type": "string"}, "minItems": 40}'},
        {"presence_penalty": 0.5},
    ]
    requests = [ask(str(i), seed=i, ignore_eos=True, max_new_tokens=180, **options[i % 4]) for i in range(8)]
    crowded = start_yard(kv_bytes=6 * 64 * 2048, rows=4)
    found, chunks = crowded.stream(*requests)
    wanted = start_yard().run(*requests)
    assert crowded.engine.residency().preemptions > 0
    for request in requests:
        name = request.request_id
        assert done(found[name]).text == done(wanted[name]).text
        assert "".join(chunk.text for chunk in chunks[name]) == done(found[name]).text
        assert sum(len(chunk.token_ids) for chunk in chunks[name]) == done(found[name]).completion_tokens
