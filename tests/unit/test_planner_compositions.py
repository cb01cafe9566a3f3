"""Plans for jobs of several adapters: a sum needs all of them in slots, a derived one a slot (C7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.conftest import PlanLedger, make_residents

from lorayard_dispatcher.planning.blind import plan_blind
from lorayard_dispatcher.planning.making import Books
from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.recording import RecordedPlanner, replay
from lorayard_dispatcher.planning.values import (
    Decision,
    Phase,
    Plan,
    Resident,
    Source,
    WaitingJob,
    WorkerView,
)
from lorayard_dispatcher.planning.waits import WaitsFor

NOW = 1000.0
COLUMNS = {"a": 8, "b": 8, "c": 16, "d": 8, "e": 16, "ab-ties": 16}
PARTS = {"ab": ("a", "b"), "bcd": ("b", "c", "d"), "-a": ("a",), "ab-ties": ("a", "b")}
POLICY = Policy(columns_of=COLUMNS, parts_of=PARTS, base_of=dict.fromkeys([*COLUMNS, *PARTS], "m"))


def job(key: str, group: str, *, age: float = 1.0, priority: int = 2) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=priority, enqueued_at=NOW - age)


def worker(
    name: str = "w1", *, holds: str = "", in_use: str = "", pinned: str = "", slots: int = 4, columns: int = 0
) -> WorkerView:
    """Adapters are single letters; each of those in use has a row, the others were used in their order."""
    return WorkerView(
        worker=name,
        rows=4 + len(in_use),
        room=4,
        in_flight=len(in_use),
        slots=slots,
        columns=columns,
        resident=make_residents(holds, in_use, pinned, COLUMNS, loaded_at=NOW - 60),
        host=frozenset("abcde"),
        base_digest="m",
        composes=True,
    )


def decide(*jobs: WaitingJob, fleet: tuple[WorkerView, ...], policy: Policy = POLICY) -> Plan:
    return plan(NOW, jobs, fleet, {}, {}, policy)


def leaving(decision: Decision) -> str:
    return "".join(sorted(([decision.evicts] if decision.evicts else []) + list(decision.evicts_more)))


def test_a_sum_is_warm_where_all_its_parts_are__c7() -> None:
    fleet = (worker("w1", holds="a"), worker("w2", holds="dab"), worker("w3", holds="b"))
    (decision,) = decide(job("1", "ab"), fleet=fleet).decisions
    assert (decision.worker, decision.phase, decision.source) == ("w2", Phase.WARM, Source.SLOT)


@pytest.mark.parametrize(
    ("fleet", "group", "evicts"),
    [
        pytest.param(worker(), "bcd", "", id="slots are free"),
        pytest.param(worker(holds="ae", slots=3), "ab", "", id="only what is missing comes"),
        pytest.param(worker(holds="ae", slots=2), "ab", "e", id="its own part stays, though unused longest"),
        pytest.param(worker(holds="eb", in_use="d", slots=4), "bcd", "", id="one slot for one part"),
        pytest.param(worker(holds="ea", in_use="d", slots=4), "bcd", "e", id="two parts, one slot free"),
        pytest.param(worker(holds="eab", columns=40), "bcd", "e", id="as many columns as the parts take"),
        pytest.param(worker(holds="bcd", slots=3), "ab-ties", "b", id="a derived one takes a slot"),
        pytest.param(worker(holds="bcd", columns=32), "ab-ties", "c", id="and its own columns"),
    ],
)
def test_only_what_is_missing_is_loaded_and_no_part_leaves_for_another__c7(
    fleet: WorkerView, group: str, evicts: str
) -> None:
    (decision,) = decide(job("1", group), fleet=(fleet,)).decisions
    assert decision.load
    assert leaving(decision) == evicts


@pytest.mark.parametrize(
    ("fleet", "group"),
    [
        pytest.param(worker(slots=2), "bcd", id="too few slots"),
        pytest.param(worker(columns=24), "bcd", id="too few columns"),
        pytest.param(worker(holds="e", pinned="e", slots=3), "bcd", id="too few beside what is pinned"),
        pytest.param(worker(in_use="ea", slots=3), "bcd", id="rows use the others"),
        pytest.param(worker(holds="a", in_use="e", slots=2), "ab", id="only its own part could leave"),
        pytest.param(replace(worker(), composes=False), "ab", id="its engine cannot"),
        pytest.param(replace(worker(), composes=False), "ab-ties", id="nor derive"),
        pytest.param(replace(worker(), lacks=frozenset("b")), "ab-ties", id="no files of a part"),
        pytest.param(replace(worker(), barred=frozenset("b")), "ab", id="a part is kept away"),
        pytest.param(replace(worker(), dedicated="a"), "ab", id="it serves one alone"),
        pytest.param(replace(worker(), base_digest="n"), "ab", id="another base model"),
    ],
)
def test_a_worker_that_cannot_gets_none__c7(fleet: WorkerView, group: str) -> None:
    made = decide(job("1", group), fleet=(fleet,))
    assert not made.decisions
    assert not plan_blind({(group, 2): [job("1", group)]}, (fleet,), POLICY).decisions or fleet.in_flight


def test_its_rows_keep_every_part_in_use__c7() -> None:
    """In the same plan and in the next."""
    planner = Planner(POLICY)
    planner.see(worker(holds="ab", slots=2))
    planner.put(job("1", "ab", priority=0))
    planner.put(job("2", "c", priority=1))
    made = planner.plan(NOW)
    assert [decision.job for decision in made.decisions] == ["1"]
    assert not planner.plan(NOW + 1).decisions


def test_two_sums_that_share_a_part_lie_in_three_slots__c7() -> None:
    policy = replace(POLICY, parts_of={**PARTS, "ac": ("a", "c")})
    made = decide(job("1", "ab"), job("2", "ac"), fleet=(worker(slots=3),), policy=policy)
    assert sorted(decision.job for decision in made.decisions) == ["1", "2"]
    assert not any(map(leaving, made.decisions))


def test_parts_are_fetched_and_slots_drained_for_a_sum__c7() -> None:
    busy = replace(worker(in_use="ed", slots=2), host=frozenset("a"))
    made = decide(job("1", "ab", age=100.0), fleet=(busy,))
    assert [(fetch.worker, fetch.adapter) for fetch in made.prefetches] == [("w1", "b")]
    assert [drain.for_group for drain in made.drains] == ["ab"]
    own = replace(worker(in_use="ae", slots=2))
    assert [drain.adapter for drain in decide(job("1", "ab", age=100.0), fleet=(own,)).drains] == ["e"]
    assert not decide(job("1", "ab-ties"), fleet=(replace(busy, host=frozenset()),)).prefetches


def test_a_sum_gets_the_slots_that_are_drained_one_after_the_other__c7() -> None:
    planner = Planner(POLICY)
    planner.put(job("1", "ab", age=100.0))
    given: list[Decision] = []
    left = "ed"
    for step in range(8):
        planner.see(worker(in_use=left, slots=2))
        made = planner.plan(NOW + step)
        given += made.decisions
        drained = [desk.drain for desk in planner._books.desks.by_name.values()]  # pyright: ignore[reportPrivateUsage]
        left = left.replace(drained[0][0], "") if drained[0] is not None else left
    assert [decision.job for decision in given] == ["1"]


def test_a_sum_gets_no_rows_where_a_part_of_it_is_drained__c7() -> None:
    planner = Planner(POLICY)
    planner.see(worker(in_use="ab", slots=2))
    planner.put(job("1", "c", age=100.0))
    assert [drain.adapter for drain in planner.plan(NOW).drains] == ["a"]
    planner.put(job("2", "ab"))
    assert not planner.plan(NOW + 0.1).decisions


def test_a_worker_that_has_the_parts_now_is_given_the_sum_at_once__c7() -> None:
    planner = Planner(POLICY)
    planner.see(replace(worker(holds="a"), room=0))
    planner.put(job("1", "ab"))
    assert not planner.plan(NOW).decisions
    planner.see(worker(holds="ab"))
    assert [decision.phase for decision in planner.plan(NOW + 0.001).decisions] == [Phase.WARM]


def test_why_a_sum_waits_is_told__c7() -> None:
    planner = Planner(POLICY)
    planner.see(worker(in_use="ce", slots=2))
    planner.put(job("1", "ab"))
    planner.put(job("2", "bcd"))
    planner.plan(NOW)
    first, second = planner.why("1", NOW), planner.why("2", NOW)
    assert first is not None
    assert first.waits_for in (WaitsFor.SLOT, WaitsFor.DRAIN)
    assert second is not None
    assert second.waits_for is WaitsFor.WORKER


def test_plans_with_sums_replay__c7() -> None:
    entries: list[list[object]] = []
    planner = RecordedPlanner(POLICY, entries.append)
    planner.see(worker(holds="ae", slots=2))
    planner.put(job("1", "ab"))
    planner.put(job("2", "ab-ties"))
    assert planner.plan(NOW).decisions
    played = replay(entries)
    assert (played.plans, played.differing) == (1, ())


groups = st.sampled_from(["", "a", "b", "c", "d", "e", *PARTS])
adapters = st.frozensets(st.sampled_from("abcde"), max_size=4)
WORKERS = ["w0", "w1", "w2"]


class Yard(RuleBasedStateMachine):
    """Workers that do as they are told, counted anew beside the planner."""

    def __init__(self) -> None:
        super().__init__()
        self.planner = Planner(POLICY)
        self.books: Books = self.planner._books  # pyright: ignore[reportPrivateUsage]
        self.now = NOW
        self.waiting: dict[str, WaitingJob] = {}
        self.views: dict[str, WorkerView] = {}

    @rule(number=st.integers(0, 9), group=groups, age=st.sampled_from([0.0, 20.0, 100.0]))
    def put(self, number: int, group: str, age: float) -> None:
        made = replace(job(f"{number}", group, age=age), home=WORKERS[number % 3], moving_seconds=number % 2)
        self.planner.put(made, self.now)
        self.waiting[made.key] = made

    @rule(number=st.integers(0, 9))
    def take(self, number: int) -> None:
        assert self.planner.take(f"{number}") == self.waiting.pop(f"{number}", None)

    @rule(
        name=st.sampled_from(WORKERS),
        slots=st.integers(0, 4),
        columns=st.sampled_from([0, 24, 40]),
        holds=adapters,
        used=adapters,
        pinned=st.just(frozenset[str]()) | adapters,
        lacks=st.just(frozenset[str]()) | adapters,
        composes=st.sampled_from([True, True, False]),
        room=st.integers(0, 3),
    )
    def see(
        self,
        name: str,
        slots: int,
        columns: int,
        holds: frozenset[str],
        used: frozenset[str],
        pinned: frozenset[str],
        lacks: frozenset[str],
        composes: bool,
        room: int,
    ) -> None:
        resident: dict[str, Resident] = {}
        left = columns or 1000
        for digest in sorted(holds)[:slots]:
            if COLUMNS[digest] <= left:
                left -= COLUMNS[digest]
                resident[digest] = Resident(
                    jobs=int(digest in used),
                    pinned=digest in pinned,
                    loaded_at=self.now - 5,
                    columns=COLUMNS[digest],
                )
        view = WorkerView(
            worker=name,
            rows=room + len(used),
            room=room,
            in_flight=len(used),
            slots=slots,
            columns=columns,
            resident=resident,
            host=frozenset("abcde"),
            lacks=lacks,
            base_digest="m",
            composes=composes,
        )
        self.planner.see(view)
        self.views[name] = view

    @rule(name=st.sampled_from(WORKERS))
    def lose(self, name: str) -> None:
        self.planner.lose(name)
        self.views.pop(name, None)

    @rule(seconds=st.sampled_from([0.01, 0.1, 2.0, 30.0]))
    def plan(self, seconds: float) -> None:
        self.now += seconds
        desks = self.books.desks.by_name
        ledger = PlanLedger.of(desks)
        held, used = ledger.held, ledger.used
        for decision in self.planner.plan(self.now).decisions:
            given, name = self.waiting.pop(decision.job), decision.worker
            needs = set(POLICY.sum_of(given.group) or (given.group,)) - {""}
            ledger.take_room(name)
            assert POLICY.fits(self.views[name], given.group)
            if decision.load:
                leave = {*decision.evicts_more, *([decision.evicts] if decision.evicts else [])}
                assert leave <= held[name] - used[name] - needs, "in use, pinned, its own, or not there"
                held[name] = (held[name] - leave) | needs
                assert len(held[name]) <= self.views[name].slots, "more adapters than slots"
                columns = self.views[name].columns
                assert not columns or sum(COLUMNS[digest] for digest in held[name]) <= columns
            assert needs <= held[name], "neither there nor loaded"
            used[name] |= needs
            ledger.check_drain(desks[name], name, needs)

    @invariant()
    def the_fleet_agrees_with_a_recount(self) -> None:
        desks = self.books.desks
        known = desks._sums  # pyright: ignore[reportPrivateUsage]
        assert {found.group for found in self.waiting.values() if POLICY.sum_of(found.group)} <= set(known)
        holders: dict[str, list[str]] = {}
        ready: dict[str, list[str]] = {}
        for name, desk in sorted(desks.by_name.items()):
            assert set(desk.jobs) <= set(desk.resident)
            assert set(desk.sums) == {group for group in known if set(PARTS[group]) <= set(desk.resident)}
            assert desk.free_slots == max(0, desk.view.slots - len(desk.resident))
            for group in (*desk.resident, *desk.sums):
                holders.setdefault(group, []).append(name)
                if desk.room > 0:
                    ready.setdefault(group, []).append(name)
        assert (desks.holders, desks.open_holders) == (holders, ready)


Yard.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestYard = Yard.TestCase


def test_sums_that_nobody_waits_for_are_forgotten__c7() -> None:
    planner = Planner(POLICY)
    planner.see(worker(holds="abcd"))
    for number in range(20):
        planner.put(job(f"{number}", ("ab", "bcd", "-a")[number % 3]))
    for number in range(20):
        planner.take(f"{number}")
    planner.plan(NOW)
    desks = planner._books.desks  # pyright: ignore[reportPrivateUsage]
    assert (desks.sums_with, set(desks.holders), desks.by_name["w1"].sums) == ({}, set("abcd"), {})
