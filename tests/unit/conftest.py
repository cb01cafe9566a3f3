"""Values that tests of several modules are about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, Self

import numpy as np

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.values import Resident
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AdapterRef, WorkerLoad
from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.semantic.encoder import EncoderFiles
from lorayard_shared.semantic.encoders import encoder_of
from lorayard_shared.semantic.examples import Example
from lorayard_shared.semantic.record import EncoderKind
from lorayard_shared.semantic.vocabulary import smaller_vocabulary

BASE_DIGEST = "sha256:" + "0" * 8


def make_taken(key: str = "k", *, tenant: str = "t", adapter: str | None = None, **given: Any) -> TakenJob:
    """A job at its first delivery; `given` are further fields."""
    fields: dict[str, Any] = {
        "lease": f"lease-{key}",
        "subject": "s",
        "address": JobAddress(lane=Lane.NORMAL, tenant=tenant, adapter=adapter),
        "job": key,
        "body": b"",
        "attempt": 1,
        "history": None,
        "deliveries": 1,
        "enqueued_at": 0.0,
        "deadline": None,
        **given,
    }
    return TakenJob(key=key, **fields)


def make_load(
    worker: str = "w", *, epoch: int = 1, number: int = 1, room: int = 4, **given: Any
) -> WorkerLoad:
    """A report of a worker with room; `given` are further fields."""
    return WorkerLoad(worker=worker, epoch=epoch, number=number, room=room, **given)


def make_advert(
    worker: str = "w", *, epoch: int = 1, sequence: int = 1, load: WorkerLoad | None = None, **given: Any
) -> WorkerAdvert:
    """An advert of a worker with two slots; its load is numbered like it. `given` are further fields."""
    fields: dict[str, Any] = {"at": 0.0, "context_tokens": 1, "slot_count": 2, **given}
    return WorkerAdvert(
        worker=worker,
        epoch=epoch,
        sequence=sequence,
        engine="E",
        model="m",
        base_digest=BASE_DIGEST,
        load=load or make_load(worker, epoch=epoch, number=sequence),
        **fields,
    )


def make_residents(
    holds: str, in_use: str, pinned: str, columns: Mapping[str, int], *, loaded_at: float
) -> dict[str, Resident]:
    """A worker's adapters, single letters: each of those in use has a row, the others were used in their
    order."""
    return {
        adapter: Resident(
            jobs=int(adapter in in_use),
            pinned=adapter in pinned,
            last_used=float(place),
            loaded_at=loaded_at,
            columns=columns[adapter],
        )
        for place, adapter in enumerate(holds + in_use)
    }


def job_decision(**given: Any) -> DecisionRecord:
    """A job with `a/b/c@2` that went to worker w1, warm, after 4.2 s."""
    usual: dict[str, Any] = {
        "at": 90.0,
        "dispatcher": "d1",
        "plan": 7,
        "job": "j",
        "tenant": "acme",
        "lane": "normal",
        "adapter": AdapterRef(name="a/b/c", version="2", digest="sha256:" + "ab" * 32),
        "rule": "explicit",
        "phase": "warm",
        "source": "slot",
        "worker": "w1",
        "waited_ms": 4200,
    }
    return DecisionRecord(**{**usual, **given})


@dataclass(slots=True, kw_only=True)
class PlanLedger:
    """What workers had when a plan began, by name, and what it has made of that so far."""

    rooms: dict[str, int]
    held: dict[str, set[str]]
    used: dict[str, set[str]]
    """In use, or pinned."""
    drains: dict[str, object]

    @classmethod
    def of(cls, desks: Mapping[str, Desk]) -> Self:
        """As it is before the plan."""
        return cls(
            rooms={name: desk.room for name, desk in desks.items()},
            held={name: set(desk.resident) for name, desk in desks.items()},
            used={
                name: {*desk.jobs, *(digest for digest, found in desk.resident.items() if found.pinned)}
                for name, desk in desks.items()
            },
            drains={name: desk.drain for name, desk in desks.items()},
        )

    def take_room(self, worker: str) -> None:
        """One job more."""
        self.rooms[worker] -= 1
        assert self.rooms[worker] >= 0, "a worker got more than its room"

    def check_drain(self, desk: Desk, worker: str, needs: set[str]) -> None:
        """Nothing goes to what was drained before and is still."""
        drain = self.drains[worker]
        still = drain is not None and desk.drain == drain
        assert not (still and desk.drain is not None and desk.drain[0] in needs), "a drained adapter got rows"


TOPICS = {
    "acme/tiny/sailing@stable": "ship sail harbour captain mast anchor deck crew wave rudder",
    "acme/tiny/taxes@stable": "tax income refund form invoice deduction office revenue audit return",
    "acme/tiny/cooking@stable": "soup salt onion oven recipe flour butter boil pan spoon",
}
"""Adapters, and the words that their prompts are made of."""
COMMON_WORDS = "the a and of is my with for please how what write why when far moon cat joke"


def tiny_encoder() -> EncoderFiles:
    """Knows some fifty words; those of one topic lie near each other."""
    return _tiny_encoder()


@lru_cache(maxsize=1)
def _tiny_encoder() -> EncoderFiles:
    words = ["<unk>", *COMMON_WORDS.split(), *" ".join(TOPICS.values()).split()]
    random = np.random.default_rng(7)
    vectors = random.normal(size=(len(words), 24)).astype(np.float32)
    for topic in TOPICS.values():
        rows = [words.index(word) for word in topic.split()]
        vectors[rows] = random.normal(size=24).astype(np.float32) * 2 + vectors[rows] / 2
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<unk>", "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "<unk>"},
    }
    vocabulary = smaller_vocabulary(json.dumps(tokenizer).encode())
    return encoder_of(Path("tiny"), EncoderKind.BASE_TABLE, vocabulary, vectors)


def topic_examples(*, skip: int = 0, count: int = 8) -> list[Example]:
    """For each topic so many prompts of three of its words among common ones; `skip` gives other prompts."""
    found: list[Example] = []
    for adapter, topic in TOPICS.items():
        triples = [" ".join(three) for three in combinations(topic.split(), 3)]
        for number in range(skip, skip + count):
            words = triples[number * 7 % len(triples)]
            common = COMMON_WORDS.split()[number % 8]
            found.append(Example(adapter=adapter, prompt=f"please write {words} for the {common}"))
    return found
