"""What holds after every event that the planner is told of, in whatever order they come."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.conftest import PlanLedger

from lorayard_dispatcher.planning.making import Books
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Resident, WaitingJob, WorkerView

GROUPS = ["", "a", "b", "c", "d", "e"]
TENANTS = ["t", "u", "v"]
WORKERS = ["w0", "w1", "w2"]

HOUR = 3600.0

groups = st.sampled_from(GROUPS)
adapters = st.frozensets(st.sampled_from(GROUPS[1:]), max_size=4)
times = st.sampled_from([0.0, 0.01, 0.1, 2.0, 20.0, HOUR, -HOUR])


class Yard(RuleBasedStateMachine):
    """A plain model beside the planner: a dict of jobs, and workers that do as they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.planner = Planner(Policy(quantum_tokens=500.0, queue_from=1.0))
        self.books: Books = self.planner._books  # pyright: ignore[reportPrivateUsage]
        self.now = 1_000_000.0
        self.waiting: dict[str, WaitingJob] = {}
        self.views: dict[str, WorkerView] = {}
        self.given: list[WaitingJob] = []

    @rule(
        number=st.integers(0, 9),
        group=groups,
        tenant=st.sampled_from(TENANTS),
        priority=st.integers(0, 5),
        age=st.sampled_from([0.0, 1.0, 20.0, HOUR, -HOUR]),
        deadline=st.sampled_from([None, None, -math.inf, 0.0, 1e6 + 3.0, math.inf]),
        tokens=st.sampled_from([0.0, 100.0, 900.0]),
        home=st.sampled_from([None, None, *WORKERS]),
        moving_seconds=st.sampled_from([0.0, 1.0, 60.0]),
    )
    def put(
        self,
        number: int,
        group: str,
        tenant: str,
        priority: int,
        age: float,
        deadline: float | None,
        tokens: float,
        home: str | None,
        moving_seconds: float,
    ) -> None:
        job = WaitingJob(
            key=f"{number}",
            group=group,
            tenant=tenant,
            priority=priority,
            enqueued_at=self.now - age,
            deadline=deadline,
            tokens=tokens,
            home=home,
            moving_seconds=moving_seconds,
        )
        self.planner.put(job, self.now)
        self.waiting[job.key] = job

    @rule(at=st.integers(0, 9))
    @precondition(lambda self: self.given)
    def hand_back(self, at: int) -> None:
        """The very job, in its old place."""
        job = self.given[at % len(self.given)]
        self.planner.put(job)
        self.waiting[job.key] = job

    @rule(at=st.integers(0, 9))
    def take(self, at: int) -> None:
        key = f"{at}"
        job = self.waiting.pop(key, None)
        assert self.planner.take(key) == job
        if job is not None:
            self.given.append(job)

    @rule(
        name=st.sampled_from(WORKERS),
        rows=st.integers(0, 4),
        more_room=st.integers(0, 2),
        busy=st.integers(0, 2),
        slots=st.integers(0, 3),
        holds=adapters,
        used=adapters,
        pinned=adapters,
        host=adapters,
        fetching=adapters,
        lacks=st.just(frozenset[str]()) | adapters,
    )
    def see(
        self,
        name: str,
        rows: int,
        more_room: int,
        busy: int,
        slots: int,
        holds: frozenset[str],
        used: frozenset[str],
        pinned: frozenset[str],
        host: frozenset[str],
        fetching: frozenset[str],
        lacks: frozenset[str],
    ) -> None:
        view = WorkerView(
            worker=name,
            rows=rows,
            room=max(0, rows - busy) + more_room,
            in_flight=busy,
            slots=slots,
            resident={
                digest: Resident(jobs=int(digest in used), loaded_at=self.now - 5, pinned=digest in pinned)
                for digest in sorted(holds)[:slots]
            },
            host=host,
            fetching=fetching,
            lacks=lacks,
        )
        self.planner.see(view)
        self.views[name] = view

    @rule(name=st.sampled_from(WORKERS))
    def lose(self, name: str) -> None:
        self.planner.lose(name)
        self.views.pop(name, None)

    @rule(tenant=st.sampled_from(TENANTS), tokens=st.sampled_from([-50.0, 300.0]))
    def charge(self, tenant: str, tokens: float) -> None:
        self.planner.charge(tenant, tokens)

    @rule(seconds=times)
    def plan(self, seconds: float) -> None:
        self.now += seconds
        desks = self.books.desks.by_name
        ledger = PlanLedger.of(desks)
        held, used = ledger.held, ledger.used
        for decision in self.planner.plan(self.now).decisions:
            job, name = self.waiting.pop(decision.job), decision.worker
            self.given.append(job)
            assert job.group == decision.group
            ledger.take_room(name)
            if decision.load:
                assert decision.group not in held[name]
                if decision.evicts is not None:
                    assert decision.evicts in held[name] - used[name], "in use, pinned or not there"
                    held[name].remove(decision.evicts)
                held[name].add(decision.group)
                assert len(held[name]) <= self.views[name].slots, "more adapters than slots"
            if decision.group:
                assert decision.group in held[name], "it is neither there nor loaded"
                assert decision.group not in self.views[name].lacks
                used[name].add(decision.group)
            ledger.check_drain(desks[name], name, {decision.group})
        for job in self.kept_back():
            until = self.books.homes.until(job)
            assert until is not None
            assert self.now < until <= self.now + job.moving_seconds

    def kept_back(self) -> list[WaitingJob]:
        """For their sessions' workers."""
        return [job for key, job in self.waiting.items() if self.books.homes.get(key) is not None]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.planner) == len(self.waiting)
        kept, backlog = self.books.homes, self.books.backlog
        for key, job in self.waiting.items():
            assert [found for found in (backlog.get(key), kept.get(key)) if found is not None] == [job]
        assert kept.moved <= set(self.waiting)
        assert {key for jobs in self.books.due.values() for key in jobs} <= set(self.waiting)

    @invariant()
    def the_backlog_agrees_with_a_recount(self) -> None:
        lanes: dict[tuple[int, str], list[WaitingJob]] = {}
        tenants: dict[str, Counter[str]] = {}
        for job in self.waiting.values():
            if self.books.homes.get(job.key) is not None:
                continue
            lanes.setdefault((job.priority, job.group), []).append(job)
            tenants.setdefault(job.tenant, Counter())[job.group] += 1
        backlog = self.books.backlog
        assert backlog.waiting_of == tenants
        heads: dict[int, list[tuple[float, str, str]]] = {}
        sizes: dict[int, list[tuple[int, str]]] = {}
        for (priority, group), jobs in lanes.items():
            oldest = min(jobs, key=lambda job: job.order)
            heads.setdefault(priority, []).append((oldest.enqueued_at, oldest.key, group))
            sizes.setdefault(priority, []).append((-len(jobs).bit_length(), group))
            lane = backlog.groups[group][priority]
            assert lane.size == len(jobs)
            assert lane.oldest == oldest
            assert set(lane.tenants) == {job.tenant for job in jobs}
            for tenant, found in lane.tenants.items():
                assert found[0] == min(
                    (job for job in jobs if job.tenant == tenant), key=lambda job: job.order
                )
        assert sum(len(found) for found in backlog.groups.values()) == len(lanes)
        assert backlog.priorities() == sorted(heads)
        for priority in range(4):
            largest = [group for _, group in sorted(sizes.get(priority, ()))]
            assert list(backlog.heads(priority)) == sorted(heads.get(priority, ()))
            assert list(backlog.largest(priority, len(largest) + 1)) == largest

    @invariant()
    def turns_are_kept_back_for_workers_that_live(self) -> None:
        kept = self.kept_back()
        assert len(kept) == len(self.books.homes)
        for job in kept:
            assert job.home in self.views
            assert job in self.books.homes.of([job.home])

    @invariant()
    def the_fleet_agrees_with_a_recount(self) -> None:
        desks = self.books.desks
        assert desks.names == sorted(desks.by_name) == sorted(self.views)
        assert desks.open == sorted(name for name, desk in desks.by_name.items() if desk.room > 0)
        assert desks.draining == {name for name, desk in desks.by_name.items() if desk.drain is not None}
        assert desks.changed <= set(self.views)
        holders: dict[str, list[str]] = {}
        ready: dict[str, list[str]] = {}
        hosts: dict[str, list[str]] = {}
        for name, desk in sorted(desks.by_name.items()):
            assert set(desk.jobs) <= set(desk.resident)
            assert desk.free_slots == max(0, desk.view.slots - len(desk.resident))
            for digest in desk.resident:
                holders.setdefault(digest, []).append(name)
                if desk.room > 0:
                    ready.setdefault(digest, []).append(name)
            for digest in desk.host | desk.fetching:
                hosts.setdefault(digest, []).append(name)
        assert (desks.holders, desks.open_holders, desks.hosts) == (holders, ready, hosts)


Yard.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestYard = Yard.TestCase
