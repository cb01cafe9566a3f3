"""A recorded planner plays again to the same plans, bit for bit."""

from __future__ import annotations

import json
import random

import pytest

from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.recording import Entry, RecordedPlanner, RecordingError, replay
from lorayard_dispatcher.planning.values import Resident, WaitingJob, WorkerView

GROUPS = ("", *(f"sha256:{number:02x}" for number in range(12)))


def view(draw: random.Random, worker: str, now: float) -> WorkerView:
    resident = {
        group: Resident(jobs=draw.randrange(3), last_used=now - draw.random(), loaded_at=now - 5.0)
        for group in draw.sample(GROUPS[1:], 3)
    }
    return WorkerView(
        worker=worker,
        room=draw.randrange(4),
        rows=4,
        slots=4,
        resident=resident,
        host=frozenset(draw.sample(GROUPS[1:], 4)),
        age_seconds=draw.random(),
        base_digest="base",
        load_seconds_host=0.1 + draw.random(),
    )


def record(seed: int, steps: int) -> list[Entry]:
    """A seeded run of calls, with an adapter registered on the way; as a file would give it back."""
    draw, entries, now = random.Random(seed), list[Entry](), 1000.0
    base_of: dict[str, str] = {}
    planner = RecordedPlanner(Policy(base_of=base_of, tenant_weights={"b": 2.0}), entries.append)
    for step in range(steps):
        now += draw.random() * 0.3
        for _ in range(draw.randrange(6)):
            key = f"k{draw.randrange(400)}"
            job = WaitingJob(
                key=key,
                group=draw.choice(GROUPS),
                tenant=draw.choice("abc"),
                priority=draw.randrange(4),
                enqueued_at=now - draw.random() * 6,
                deadline=draw.choice([None, now + 3.0]),
            )
            planner.put(job, draw.choice([None, now]))
        planner.take(f"k{draw.randrange(400)}")
        planner.see(view(draw, f"w{draw.randrange(4)}", now))
        if not draw.randrange(10):
            planner.lose(f"w{draw.randrange(4)}")
            planner.charge(draw.choice("abc"), draw.random() * 100)
        if step == steps // 2:
            base_of[GROUPS[3]] = "another"
        planner.plan(now)
    text = "\n".join(json.dumps(entry) for entry in entries)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("seed", range(5))
def test_a_recording_plays_to_the_same_plans(seed: int) -> None:
    entries = record(seed, 200)
    played = replay(entries)
    assert (played.plans, played.differing) == (200, ())
    assert sum(len(entry[2]["decisions"]) for entry in entries if entry[0] == "plan") > 100


def test_a_change_behind_the_planners_back_is_recorded() -> None:
    entries = record(1, 40)
    told = [entry[1]["base_of"] for entry in entries if entry[0] == "adapters"]
    assert told == [{GROUPS[3]: "another"}]


def test_a_plan_that_came_out_otherwise_is_found() -> None:
    entries = record(2, 50)
    at = next(number for number, entry in enumerate(entries) if entry[0] == "plan" and entry[2]["decisions"])
    entries[at][2]["decisions"][0]["worker"] = "somebody else"
    assert replay(entries).differing == (at,)


POISONED: list[tuple[list[Entry], int]] = [
    ([["plan", 1.0, {}]], 0),
    ([["start", 99, {}]], 0),
    ([[]], 0),
    ([*record(0, 1)[:1], ["jump"]], 1),
    ([*record(0, 1)[:1], ["put", {"key": "k"}, None]], 1),
    ([*record(0, 1)[:1], ["see", None]], 1),
]


@pytest.mark.parametrize(("entries", "entry"), POISONED)
def test_a_poisoned_recording_is_refused_with_the_entry(entries: list[Entry], entry: int) -> None:
    with pytest.raises(RecordingError) as caught:
        replay(entries)
    assert caught.value.entry == entry
