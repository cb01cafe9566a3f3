"""Which embeddings of traffic are kept: bounded, evenly drawn, under one encoder only (B4)."""

from __future__ import annotations

import random
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.unit.conftest import make_taken

from lorayard_dispatcher import samples as module
from lorayard_dispatcher.samples import A_SECOND, FLUSH_SECONDS, Samples, SamplesKeeper
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.samples import TrafficSamples
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.semantic.errors import ArtifactError

ENCODER, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def job(number: int, adapter: str = "acme/tiny/a", prompt: str | None = None) -> TakenJob:
    body = encode(Job(id=f"j{number}", prompt=prompt if prompt is not None else str(number)))
    return make_taken(f"k{number}", adapter=adapter, job=f"j{number}", body=body)


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
        raise ArtifactError("tokenizer.json", "fails on a text")

    samples = drawing(5)
    with capture_logs() as logs:
        samples.see(job(1), stumbling, ENCODER, 0.0)
    samples.see(job(2), embed, ENCODER, 1.0)
    assert kept(samples.told()) == {2}
    assert [log["event"] for log in logs] == ["prompt_unjudged"]


def test_a_mistake_of_ours_is_none_of_the_prompts__b4() -> None:
    def mistaken(text: str) -> bytes:
        raise TypeError(text)

    with pytest.raises(TypeError):
        drawing(5).see(job(1), mistaken, ENCODER, 0.0)


class InMemory:
    """Objects that all keepers of a test share."""

    def __init__(self) -> None:
        self.of: dict[str, bytes] = {}

    @classmethod
    def put_in(cls, monkeypatch: pytest.MonkeyPatch) -> InMemory:
        store = cls()

        def objects(_bus: Bus, _bucket: str) -> InMemory:
            return store

        monkeypatch.setattr(module, "Objects", objects)
        return store

    async def get(self, name: str, *, limit_bytes: int) -> bytes | None:
        return self.of.get(name)

    async def put(self, name: str, data: bytes) -> None:
        self.of[name] = data

    def drawn(self) -> list[set[int]]:
        return [kept(decode(TrafficSamples, data)) for _, data in sorted(self.of.items())]


class Desk:
    """One dispatcher's draw, and the seats that it has."""

    def __init__(self, *seats: int) -> None:
        self.seats = seats
        self.samples = Samples(100)
        self._now = 0.0
        self._keeper = SamplesKeeper(
            cast("Bus", None), self.samples, seats=lambda: self.seats, encoder=lambda: ENCODER
        )

    async def sees(self, *numbers: int) -> None:
        """Jobs come, and later it is time to write."""
        await self._keeper.look(0.0)
        self.see(*numbers)
        await self._keeper.look(self._now)

    def see(self, *numbers: int) -> None:
        for number in numbers:
            self._now += FLUSH_SECONDS
            self.samples.see(job(number), embed, ENCODER, self._now)


async def test_who_takes_over_goes_on_with_what_was_drawn_and_nothing_counts_twice__b4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = InMemory.put_in(monkeypatch)
    first, second = Desk(0), Desk(1)
    await first.sees(1)
    await second.sees(2)
    second.seats = (0, 1)
    await second.sees(3)
    assert store.drawn() == [{1, 3}, {2}]
    first.seats = ()
    await first.sees()
    first.seats, second.seats = (0,), (1,)
    await first.sees(4)
    await second.sees(5)
    assert store.drawn() == [{1, 3, 4}, {2, 5}]


async def test_what_was_not_written_yet_is_before_another_seat_is_gone_on_with__b4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = InMemory.put_in(monkeypatch)
    desk = Desk(1)
    await desk.sees()
    desk.see(1)
    desk.seats = (0, 1)
    await desk.sees(2)
    assert store.drawn() == [{2}, {1}]
