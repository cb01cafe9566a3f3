"""Adapters come into free host memory before anybody asks for them (B5, C4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorayard_dispatcher.planning.phases.prewarm import SPARE
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.prewarming import SWEEP_SECONDS
from lorayard_dispatcher.planning.values import Prefetch, Resident, WaitingJob, WorkerView

NOW = 1000.0
LOOK = 1.5 * Policy().look_seconds


class Fleet:
    """Workers that bring what they are asked for into host memory before the next plan."""

    def __init__(self, *workers: str, room: int = 100, policy: Policy | None = None) -> None:
        self.planner = Planner(policy)
        self.views = {
            name: WorkerView(worker=name, room=1, slots=1, base_digest="base", host_room=room)
            for name in workers
        }
        self.now = NOW
        for name in workers:
            self.see(name)

    def see(self, worker: str, **changed: object) -> None:
        self.views[worker] = replace(self.views[worker], **changed)  # type: ignore[arg-type]  # as given
        self.planner.see(self.views[worker])

    def plan(self) -> list[Prefetch]:
        """One plan, a look after the last; nothing that it asks for has come."""
        self.now += LOOK
        return list(self.planner.plan(self.now).prefetches)

    def fetch(self, wanted: list[Prefetch]) -> None:
        """It has come."""
        for one in wanted:
            view = self.views[one.worker]
            self.see(one.worker, host=view.host | {one.adapter}, host_room=view.host_room - 1)

    def settle(self) -> None:
        """Until nothing more is asked for."""
        for _ in range(1000):
            wanted = self.plan()
            if not wanted and not self.planner.prewarms(self.now):
                return
            self.fetch(wanted)
        pytest.fail("it never has enough")

    def copies(self, adapter: str) -> int:
        return sum(adapter in view.host for view in self.views.values())

    def come(self, key: str, adapter: str) -> None:
        """A job comes, and is gone again at once."""
        waiting = WaitingJob(key=key, group=adapter, tenant="t", priority=2, enqueued_at=self.now)
        self.planner.put(waiting, self.now)
        self.planner.take(key)


def names(count: int) -> list[str]:
    return [f"adapter-{number:03}" for number in range(count)]


def test_one_copy_of_every_adapter_spread_over_the_fleet__c4() -> None:
    fleet = Fleet("w1", "w2", "w3", "w4")
    fleet.planner.expect(names(200))
    fleet.settle()
    assert [fleet.copies(adapter) for adapter in names(200)] == [1] * 200
    assert all(len(view.host) > 25 for view in fleet.views.values())


def test_a_worker_reads_one_at_a_time_and_the_first_told_come_first__c4() -> None:
    fleet = Fleet("w1", "w2")
    fleet.planner.expect(names(9))
    first = fleet.plan()
    assert sorted(one.adapter for one in first) == names(2)
    assert sorted(one.worker for one in first) == ["w1", "w2"]
    assert fleet.plan() == [], "both still read"
    fleet.see(first[0].worker, fetching=frozenset({first[0].adapter}))
    assert fleet.plan() == []
    fleet.fetch(first[1:])
    (third,) = fleet.plan()
    assert (third.worker, third.adapter) == (first[1].worker, names(9)[2])


def test_what_is_asked_for_gets_more_copies_and_nothing_else_does__c4() -> None:
    fleet = Fleet("w1", "w2", "w3", "w4")
    fleet.planner.expect(names(20))
    for number in range(20):
        fleet.come(f"job-{number}", names(20)[7])
    fleet.now += 1.0
    fleet.settle()
    assert {adapter: fleet.copies(adapter) for adapter in names(20)} == {
        adapter: 3 if adapter == names(20)[7] else 1 for adapter in names(20)
    }


def test_nothing_makes_way_for_a_guess__c4() -> None:
    fleet = Fleet("w1", room=10)
    fleet.planner.expect(names(50))
    fleet.settle()
    assert len(fleet.views["w1"].host) == 10 - SPARE
    fleet.see("w1", host_room=SPARE)
    fleet.now += SWEEP_SECONDS
    fleet.settle()
    assert len(fleet.views["w1"].host) == 10 - SPARE


def test_a_copy_that_made_way_comes_back_when_there_is_room__c4() -> None:
    fleet = Fleet("w1", "w2")
    fleet.planner.expect(names(4))
    fleet.settle()
    for name in fleet.views:
        fleet.see(name, host=frozenset[str]())
    fleet.now += SWEEP_SECONDS
    assert fleet.planner.prewarms(fleet.now)
    fleet.settle()
    assert [fleet.copies(adapter) for adapter in names(4)] == [1] * 4


def test_a_disk_that_reads_for_a_job_that_waits_reads_nothing_else__c4() -> None:
    fleet = Fleet("w1")
    busy = {"held": Resident(jobs=1)}
    fleet.see("w1", resident=busy, host=frozenset({"held"}), rows=4, room=3, in_flight=3)
    fleet.planner.put(
        WaitingJob(key="j", group="cold", tenant="t", priority=2, enqueued_at=fleet.now), fleet.now
    )
    fleet.planner.expect(names(3))
    assert [one.adapter for one in fleet.plan()] == ["cold"]
    fleet.see("w1")
    assert fleet.plan() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"base_digest": "another"},
        {"dedicated": "adapter-000"},
        {"lacks": frozenset(names(3))},
        {"resident": {adapter: Resident() for adapter in names(3)}, "slots": 4},
        {"host_room": 0},
    ],
    ids=["other base", "dedicated", "no files", "in a slot", "full"],
)
def test_no_worker_is_asked_that_could_not_use_it__b6(changed: dict[str, object]) -> None:
    fleet = Fleet("w1", policy=Policy(base_of=dict.fromkeys(names(3), "base")))
    fleet.see("w1", **changed)
    fleet.planner.expect(names(3))
    fleet.settle()
    assert not fleet.views["w1"].host


def test_a_worker_that_reads_for_others_is_left_alone__c4() -> None:
    fleet = Fleet("w1")
    fleet.see("w1", fetching=frozenset({"of another dispatcher"}))
    fleet.planner.expect(names(1))
    assert fleet.plan() == []
    fleet.see("w1", fetching=frozenset[str]())
    assert [one.adapter for one in fleet.plan()] == names(1)


def test_it_can_be_switched_off__g4() -> None:
    fleet = Fleet("w1", policy=Policy(prewarm_copies=0))
    fleet.planner.expect(names(3))
    assert not fleet.planner.prewarms(fleet.now)
    assert fleet.plan() == []
