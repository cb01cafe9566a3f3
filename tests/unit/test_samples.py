"""Which embeddings of traffic are kept: bounded, evenly drawn, under one encoder only (B4)."""

from __future__ import annotations

import random

import pytest

from lorayard_dispatcher import samples as module
from lorayard_dispatcher.samples import A_SECOND, Samples
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.samples import TrafficSamples
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.taken_job import TakenJob

ENCODER, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def job(number: int, adapter: str = "acme/tiny/a", prompt: str | None = None) -> TakenJob:
    body = encode(Job(id=f"j{number}", prompt=prompt if prompt is not None else str(number)))
    return TakenJob(
        key=f"k{number}",
        lease="l",
        subject="s",
        address=JobAddress(lane=Lane.NORMAL, tenant="t", adapter=adapter),
        job=f"j{number}",
        body=body,
        attempt=1,
        history=None,
        deliveries=1,
        enqueued_at=0.0,
        deadline=None,
    )


def embed(text: str) -> bytes:
    """Two numbers of two bytes; nothing for a text without digits."""
    return int(text).to_bytes(4, "little") if text.isdigit() else b""


def drawing(per_adapter: int, seed: int = 1) -> Samples:
    made = Samples(per_adapter, draw=random.Random(seed))
    made.begin(ENCODER, None)
    return made


def see_all(samples: Samples, jobs: list[TakenJob], *, gap_seconds: float = 1.0) -> None:
    for at, one in enumerate(jobs):
        samples.see(one, embed, ENCODER, at * gap_seconds)


def kept(told: TrafficSamples | None, adapter: str = "acme/tiny/a") -> set[int]:
    assert told is not None
    data = told.adapters[adapter].vectors
    return {int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)}


def test_no_more_are_kept_of_an_adapter_than_wanted_and_each_job_has_the_same_chance__b4() -> None:
    times = [0] * 40
    for seed in range(300):
        samples = drawing(10, seed)
        see_all(samples, [job(number) for number in range(40)])
        found = kept(samples.told())
        assert len(found) == len(samples) == 10
        for number in found:
            times[number] += 1
    # 75 of 300 are expected of each, give or take 7.5
    assert min(times) > 45
    assert max(times) < 105


def test_embeddings_are_made_at_a_bounded_pace_and_none_where_none_would_be_kept__b4() -> None:
    made = 0

    def counted(text: str) -> bytes:
        nonlocal made
        made += 1
        return embed(text)

    samples = drawing(1000)
    for number in range(1000):
        samples.see(job(number), counted, ENCODER, number / 1000)
    assert made <= A_SECOND + 1
    full = drawing(2)
    made = 0
    for number in range(500):
        full.see(job(number), counted, ENCODER, float(number))
    assert made < 30  # two at first, then ever fewer: the logarithm of how many were seen


def test_all_adapters_together_are_bounded__b4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 25)
    samples = drawing(10)
    see_all(samples, [job(number, f"acme/tiny/a{number % 50}") for number in range(2000)])
    assert len(samples) == 25


def test_what_another_encoder_made_is_not_kept_beside__b4() -> None:
    samples = drawing(5)
    see_all(samples, [job(number) for number in range(5)])
    samples.see(job(9), embed, OTHER, 100.0)  # just changed, and nobody has begun with it
    assert len(samples) == 5
    before = samples.told()
    samples.begin(OTHER, before)
    assert (len(samples), samples.told()) == (0, None)
    samples.begin(ENCODER, before)
    assert kept(samples.told()) == {0, 1, 2, 3, 4}
    assert not samples.changed


def test_a_prompt_that_says_nothing_is_not_kept__b4() -> None:
    samples = drawing(5)
    see_all(samples, [job(1, prompt="words"), job(2, prompt=""), job(3)])
    assert kept(samples.told()) == {3}


def test_a_smaller_number_keeps_no_more_of_what_was_drawn_before__b4() -> None:
    samples = drawing(8)
    see_all(samples, [job(number) for number in range(8)])
    fewer = Samples(3)
    fewer.begin(ENCODER, samples.told())
    assert len(fewer) == 3


def test_a_prompt_that_cannot_be_read_is_no_sample_and_stops_no_job__b4() -> None:
    def stumbling(text: str) -> bytes:
        raise ValueError(text)

    samples = drawing(5)
    samples.see(job(1), stumbling, ENCODER, 0.0)
    samples.see(job(2), embed, ENCODER, 1.0)
    assert kept(samples.told()) == {2}
